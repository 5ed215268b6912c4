// The page locks itself after a quarter of an hour in which nobody was there, for who does not stay signed in.

import { lock, session } from "./session.js";

const IDLE_MS = 15 * 60_000;
const LOOK_MS = 5_000;
const SIGNS = ["pointerdown", "pointermove", "keydown", "touchstart", "wheel", "scroll"];

let last = Date.now();

/** Count as somebody being there: playing, recording and uploading say so while they go on. */
export function somebodyIsHere() {
  last = Date.now();
}

/** Begin to watch. Where the machine slept, the time it slept counts too. */
export function watchForIdleness() {
  for (const sign of SIGNS) addEventListener(sign, somebodyIsHere, { capture: true, passive: true });
  setInterval(() => {
    const { state, stay } = session.get();
    if (state === "open" && !stay && Date.now() - last >= IDLE_MS) lock();
  }, LOOK_MS);
}
