// The two ways in for sound: the microphone, and files.

import { later } from "../later.js";
import { tell } from "../parts/messages.js";
import { t } from "../texts/index.js";
import { html, useEffect, useRef, useState } from "../ui.js";
import { ACCEPTED } from "./accepted.js";

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

/**
 * Take files that are dropped anywhere on the page; returns whether some are held over it.
 *
 * @param {(files: File[]) => void} drop
 */
function useDrop(drop) {
  const [dragging, setDragging] = useState(false);
  useEffect(() => {
    const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") ?? false;
    const over = (/** @type {DragEvent} */ event) => {
      // Without this the browser would leave the page for the file.
      if (!hasFiles(event)) return;
      event.preventDefault();
      setDragging(true);
    };
    const leave = (/** @type {DragEvent} */ event) => {
      if (event.relatedTarget === null) setDragging(false);
    };
    const dropped = (/** @type {DragEvent} */ event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setDragging(false);
      drop([...(event.dataTransfer?.files ?? [])]);
    };
    addEventListener("dragover", over);
    addEventListener("dragleave", leave);
    addEventListener("drop", dropped);
    return () => {
      removeEventListener("dragover", over);
      removeEventListener("dragleave", leave);
      removeEventListener("drop", dropped);
    };
  }, []);
  return dragging;
}
