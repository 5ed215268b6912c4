// The two ways in for sound: the microphone, and files.

import { later } from "../later.js";
import { tell } from "../parts/messages.js";
import { t } from "../texts/index.js";
import { html, useRef, useState } from "../ui.js";
import { ACCEPTED } from "./accepted.js";
import { useDrop } from "./dropping.js";

const Recorder = later(async () => (await import("../views/recorder.js")).Recorder);

/** Take files in; what that needs is fetched when there are any. @param {File[]} files */
async function take(files) {
  try {
    await (await import("./adding.js")).addFiles(files);
  } catch (error) {
    tell(error);
  }
}

/** A button that opens the recorder. */
export function RecordButton() {
  const [open, setOpen] = useState(false);
  return html`
    <button type="button" class="primary" onClick=${() => setOpen(true)}>${t("recorder.record")}</button>
    ${open && html`<${Recorder} close=${() => setOpen(false)} />`}
  `;
}

/** A button that asks for files. While it is in the page, files can be dropped anywhere on it as well. */
export function UploadButton() {
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  const dragging = useDrop(take);
  const chosen = () => {
    const field = /** @type {HTMLInputElement} */ (input.current);
    take([...(field.files ?? [])]);
    // The same file can be chosen again.
    field.value = "";
  };
  return html`
    <button type="button" onClick=${() => input.current?.click()}>${t("upload.upload")}</button>
    <input ref=${input} type="file" class="unseen" multiple accept=${ACCEPTED} aria-label=${t("upload.chooseFiles")}
      tabindex="-1" onChange=${chosen} />
    ${dragging && html`<div class="drop-here" aria-hidden="true"><p>${t("upload.dropHere")}</p></div>`}
  `;
}
