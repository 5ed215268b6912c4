// What was thrown away and can be had back.

import { Failure } from "../parts/failure.js";
import { useTabTitle } from "../parts/tab-title.js";
import { momentOf } from "../recordings/known.js";
import { titleOf, useNames } from "../recordings/titles.js";
import { loadTrash, trash } from "../recordings/trash.js";
import { addressOf } from "../router.js";
import { useStore } from "../store.js";
import { length, moment } from "../texts/formats.js";
import { t } from "../texts/index.js";
import { html, useEffect } from "../ui.js";
import { EraseButton } from "./recording/erase.js";
import { RestoreButton } from "./recording/fate.js";

/** @import { Recording } from "../recordings/known.js" */

export function Trash() {
  useTabTitle(t("trash.title"));
  const { rows, cursor, state, failure } = useStore(trash, (value) => value);
  useNames();
  useEffect(() => {
    loadTrash({ anew: true });
  }, []);
  const empty = state === "shown" && failure === null && rows.length === 0;
  return html`
    <h1>${t("trash.title")}</h1>
    ${empty && html`<p class="empty">${t("trash.empty")}</p>`}
    ${rows.length > 0 && html`<p>${t("trash.hint")}</p>`}
    ${state === "loading" && rows.length === 0 && html`<p role="status">${t("recordings.loading")}</p>`}
    ${failure !== null && html`<${Failure} failure=${failure} again=${() => loadTrash()} />`}
    <ul class="trash" aria-label=${t("trash.title")} hidden=${rows.length === 0}>
      ${rows.map((recording) => html`<${Row} key=${recording.file_id} recording=${recording} />`)}
    </ul>
    ${cursor !== null && html`
      <p>
        <button type="button" aria-busy=${state === "loading"} onClick=${() => loadTrash()}>${t("trash.more")}</button>
      </p>
    `}
  `;
}

/** @param {{ recording: Recording }} props */
function Row({ recording }) {
  const id = `trash-${recording.file_id}`;
  const at = momentOf(recording);
  const name = titleOf(recording);
  const facts = [t("trash.since", { time: moment(recording.deleted_at ?? at) })];
  if (recording.duration_ms !== null) facts.unshift(length(recording.duration_ms));
  if (name !== moment(at)) facts.unshift(moment(at));
  return html`
    <li aria-label=${name}>
      <p class="one-line">
        <a id=${id} href=${addressOf("recording", recording.file_id)}><bdi dir="auto">${name}</bdi></a>
      </p>
      <p><small>${facts.join(" · ")}</small></p>
      <div class="actions">
        <${RestoreButton} recording=${recording} describedBy=${id} />
        <${EraseButton} recording=${recording} describedBy=${id} />
      </div>
    </li>
  `;
}
