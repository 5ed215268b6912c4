// The page locks itself after a quarter of an hour in which nobody was there, for who does not stay signed in.

import { lock, session } from "./session.js";

const IDLE_MS = 15 * 60_000;
const LOOK_MS = 5_000;
// Other tabs hear of somebody at most so often.
const TELL_MS = 5_000;
const SIGNS = ["pointerdown", "pointermove", "keydown", "touchstart", "wheel", "scroll"];

const channel = new BroadcastChannel("panzoto-presence");
// One clock can be set back, and the other stands still while the machine sleeps: whichever has gone further counts.
const now = () => ({ date: Date.now(), running: performance.now() });
let last = now();
let told = -Infinity;

/** Count as somebody being there, in every tab: playing, recording and uploading say so while they go on. */
export function somebodyIsHere() {
  // Who moves a machine that has slept is not who left it: it locks before that counts.
  if (isLeft()) return void lock();
  last = now();
  if (last.running - told < TELL_MS) return;
  told = last.running;
  channel.postMessage(null);
}

/** Begin to watch. Where the machine slept, the time it slept counts too. */
export function watchForIdleness() {
  for (const sign of SIGNS) addEventListener(sign, somebodyIsHere, { capture: true, passive: true });
  channel.addEventListener("message", () => {
    if (!isLeft()) last = now();
  });
  // Whoever comes in is there.
  let before = session.get().state;
  session.subscribe(() => {
    const { state } = session.get();
    if (state === "open" && before !== "open") last = now();
    before = state;
  });
  setInterval(() => {
    if (isLeft()) lock();
  }, LOOK_MS);
}

function isLeft() {
  const { state, stay } = session.get();
  const { date, running } = now();
  return state === "open" && !stay && Math.max(date - last.date, running - last.running) >= IDLE_MS;
}
