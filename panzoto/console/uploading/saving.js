// A recording as a file of the person's own, where the browser cannot keep it.

import { t } from "../texts/index.js";

// The browser has taken the address by then.
const TAKEN_MS = 60_000;

/** Let the browser save a recording. @param {Blob} file */
export function saveAsFile(file) {
  const address = URL.createObjectURL(file);
  const link = document.createElement("a");
  link.href = address;
  link.download = `${t("recorder.fileName")}.${file.type.split("/")[1] || "webm"}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), TAKEN_MS);
}
