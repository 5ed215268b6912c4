// Double clicks. Many people click everything twice; the second one is for what stood there at the first, and not for
// what has taken its place under the pointer, which may undo what was just begun.

import { CONTROLS, nameOf } from "./controls.js";

/** @typedef {{ control: Element | null, name: string }} Pressed */

/** @param {Event} event @returns {Pressed} */
function pressedBy({ target }) {
  const control = /** @type {Element} */ (target).closest(CONTROLS);
  return { control, name: control === null ? "" : nameOf(control) };
}

/** Swallow the later clicks of a double click where another control is hit, or one that is called otherwise by then. */
export function swallowSecondClicks() {
  /** @type {Pressed} */
  let before = { control: null, name: "" };
  const look = (/** @type {MouseEvent} */ event) => {
    const now = pressedBy(event);
    const isSame = now.control === before.control && now.name === before.name;
    // What is pressed by the keyboard counts no clicks; what stays what it is may be pressed as fast as somebody can.
    if (event.detail <= 1 || now.control === null || isSame) {
      before = now;
      return;
    }
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  addEventListener("click", look, { capture: true });
}
