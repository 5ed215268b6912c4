// What is being uploaded, and how far each is.

import { Dialog } from "../parts/dialog.js";
import { explain } from "../parts/messages.js";
import { vault } from "../session/session.js";
import { useStore } from "../store.js";
import { bytes, moment } from "../texts/formats.js";
import { t } from "../texts/index.js";
import { html, useEffect, useRef, useState } from "../ui.js";
import { ACCEPTED } from "./accepted.js";
import "./busy.js";
import { Lost } from "./carry.js";
import { cancel, giveFile, pause, resume, uploads } from "./queue.js";
import { rescued, rescuedIsSaved, rescuedOfMine } from "./recorder.js";
import { reveal } from "./rows.js";
import { saveAsFile } from "./saving.js";

/** @import {Upload} from "./queue.js" */
/** @import {Row} from "./rows.js" */

/** The list `Uploads`; nothing where nothing is uploaded. */
export function Uploads() {
  const list = useStore(uploads, (value) => value.list);
  useStore(rescued, (value) => value.files);
  const files = rescuedOfMine();
  if (list.length === 0) return html`<${Rescued} files=${files} />`;
  return html`
    <section class="uploads">
      <${Rescued} files=${files} />
      <h2>${t("upload.title")}</h2>
      <ul aria-label=${t("upload.title")}>
        ${list.map((upload) => html`<${OneUpload} key=${upload.row.id} upload=${upload} />`)}
      </ul>
    </section>
  `;
}

/** What could not be kept stays here until the person has it. @param {{ files: Blob[] }} props */
const Rescued = ({ files }) =>
  files.map((file) => html`
    <div role="alert" class="said said-alert unkept">
      <p>${t("recorder.rescued")}</p>
      <div class="upload-actions">
        <button type="button" onClick=${() => saveAsFile(file)}>${t("recorder.download")}</button>
        <button type="button" class="plain" onClick=${() => rescuedIsSaved(file)}>
          ${t("recorder.rescuedDone")}
        </button>
      </div>
    </div>
  `);

/** @param {{ upload: Upload }} props */
function OneUpload({ upload }) {
  const { row, doing, done, total } = upload;
  const name = useName(row);
  const [asking, setAsking] = useState(false);
  const resting = row.paused || doing === "offline" || doing === "failed";
  // What is encrypted has not gone anywhere yet.
  const sent = doing === "preparing" ? undefined : done;
  const about = { "aria-describedby": `upload-${row.id}` };
  return html`
    <li>
      <div class="upload-name" id=${`upload-${row.id}`} dir="auto">${name}</div>
      <progress aria-label=${name} max=${total || 1} value=${sent} aria-valuetext=${stateOf(upload)} />
      <small class=${doing === "failed" ? "fault" : ""}>${stateOf(upload)}</small>
      <div class="upload-actions">
        ${doing === "file" && !row.paused && html`<${ChooseAgain} row=${row} about=${about} />`}
        ${resting && html`<button type="button" ...${about} onClick=${() => resume(row.id)}>${t("upload.resume")}</button>`}
        ${!row.paused && isUnderWay(doing) && html`
          <button type="button" ...${about} onClick=${() => pause(row.id)}>${t("upload.pause")}</button>
        `}
        <button type="button" class="plain" ...${about} onClick=${() => (row.spoken ? setAsking(true) : cancel(row.id))}>
          ${t("upload.cancel")}
        </button>
      </div>
      ${asking && html`<${AskToCancel} row=${row} close=${() => setAsking(false)} />`}
    </li>
  `;
}

/** Whether there is something to be paused: what waits for the person stands still. @param {Upload["doing"]} doing */
const isUnderWay = (doing) => doing !== "file" && doing !== "failed";

/** The title of a file, or when it was recorded. @param {Row} row */
function useName(row) {
  const [title, setTitle] = useState(/** @type {string | null} */ (null));
  useEffect(() => {
    reveal(vault(), row).then(
      (hidden) => setTitle(hidden.title),
      () => setTitle(null),
    );
  }, [row.id]);
  return title || moment(row.recordedAt);
}

/** What happens to an upload, in words. @param {Upload} upload */
function stateOf({ row, doing, done, total, error }) {
  const amount = { done: bytes(done), total: bytes(total) };
  if (row.paused) return total && done ? t("upload.pausedAt", amount) : t("upload.paused");
  if (doing === "sending") return t("upload.sending", amount);
  if (doing === "preparing") return total ? t("upload.encrypting", amount) : t("upload.reading");
  if (doing === "file") return error ? t("upload.otherFile") : t("upload.sameFile");
  if (doing === "failed") {
    const { text, detail } = explain(error instanceof Lost ? t("upload.gone") : (error ?? t("upload.failed")));
    return `${text} ${detail}`;
  }
  return t(/** @type {import("../texts/index.js").TextName} */ (`upload.${doing}`));
}

/** @param {{ row: Row, about: Record<string, string> }} props */
function ChooseAgain({ row, about }) {
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  const chosen = () => {
    const [file] = input.current?.files ?? [];
    if (file) giveFile(row.id, file);
  };
  return html`
    <button type="button" ...${about} onClick=${() => input.current?.click()}>${t("upload.chooseAgain")}</button>
    <input ref=${input} type="file" class="unseen" accept=${ACCEPTED} aria-label=${t("upload.chooseAgain")} tabindex="-1"
      onChange=${chosen} />
  `;
}

/** What was recorded here is nowhere else. @param {{ row: Row, close: () => void }} props */
function AskToCancel({ row, close }) {
  const sure = () => {
    close();
    cancel(row.id);
  };
  return html`
    <${Dialog} title=${t("upload.cancelQuestion")} question close=${close}>
      <p>${t("upload.cancelHint")}</p>
      <div class="actions">
        <button type="button" autofocus onClick=${close}>${t("upload.keep")}</button>
        <button type="button" class="danger" onClick=${sure}>${t("upload.throwAway")}</button>
      </div>
    <//>
  `;
}
