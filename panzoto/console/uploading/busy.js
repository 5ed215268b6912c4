// Whether something would be interrupted if the page were left, and the question before it is.

import { recorder } from "./recorder.js";
import { uploads } from "./queue.js";

const GOES_ON = ["waiting", "preparing", "sending", "finishing", "offline"];

/** Whether something records or uploads. */
export function isBusy() {
  return (
    recorder.get().phase !== "idle" ||
    uploads.get().list.some(({ row, doing }) => !row.paused && GOES_ON.includes(doing))
  );
}

addEventListener("beforeunload", (event) => {
  if (isBusy()) event.preventDefault();
});
