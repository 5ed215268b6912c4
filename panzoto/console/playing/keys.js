// The player's keys, wherever the focus does not need them itself.

import { stepSpeed } from "./settings.js";

const SEEK_SECONDS = 5;
const WRITTEN_IN = "input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]";
// What is pressed with the space bar, and what is walked through with arrows.
const PRESSED = "button, summary, a[role=button], input[type=checkbox], input[type=radio], [role=menuitem], [role=tab]";
const WALKED = "input[type=radio], [role=menu], [role=menubar], [role=listbox], [role=tablist], [role=radiogroup], [role=tree]";
const OTHER_SLIDERS = "input[type=range]:not(.player-position *)";

/**
 * Listen to the keyboard for this playback; returns how to stop.
 *
 * @param {import("./playback.js").Playback} playback
 */
export function listenToKeys(playback) {
  const pressed = (/** @type {KeyboardEvent} */ event) => {
    const does = actionOf(event, playback);
    if (does === null) return;
    event.preventDefault();
    does();
  };
  document.addEventListener("keydown", pressed);
  return () => document.removeEventListener("keydown", pressed);
}

/** @param {KeyboardEvent} event @param {import("./playback.js").Playback} playback @returns {(() => void) | null} */
function actionOf(event, playback) {
  const target = event.target instanceof Element ? event.target : document.body;
  if (event.defaultPrevented || event.metaKey || target.closest(WRITTEN_IN)) return null;
  if (document.querySelector("dialog[open]") !== null) return null;
  // Where brackets are typed with AltGr or Option, those are part of the key.
  if (event.key === "[") return () => stepSpeed(-1);
  if (event.key === "]") return () => stepSpeed(1);
  if (event.ctrlKey || event.altKey || event.shiftKey) return null;
  if (event.key === " " && !event.repeat && !target.closest(PRESSED)) return () => playback.toggle();
  if (target.closest(WALKED) || target.closest(OTHER_SLIDERS)) return null;
  if (event.key === "ArrowLeft") return () => playback.step(-SEEK_SECONDS);
  if (event.key === "ArrowRight") return () => playback.step(SEEK_SECONDS);
  return null;
}
