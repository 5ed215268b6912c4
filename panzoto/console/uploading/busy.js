// Whether something would be interrupted if the page were left, and the question before it is.

import { recorder, rescued } from "./recorder.js";
import { uploads } from "./queue.js";
import { holdsAny } from "./spoken.js";

const GOES_ON = ["waiting", "preparing", "sending", "finishing", "offline"];

/** Whether something records, uploads, or is to be saved by the person. */
export function isBusy() {
  return (
    recorder.get().phase !== "idle" ||
    rescued.get().files.length > 0 ||
    holdsAny() ||
    uploads.get().list.some(({ row, doing }) => !row.paused && GOES_ON.includes(doing))
  );
}

addEventListener("beforeunload", (event) => {
  if (isBusy()) event.preventDefault();
});
