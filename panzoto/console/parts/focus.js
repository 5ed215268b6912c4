// Where the focus goes when the control that has it goes away: a browser leaves it nowhere, and whoever works by the
// keyboard or hears the page would begin again at its top.

import { CONTROLS, nameOf } from "./controls.js";

/**
 * @typedef {{ parent: Element, at: number }} Place `at`: so many controls are before it
 * @typedef {{ control: Element, name: string, places: Place[] }} Focused `places`: from within outwards
 */

/** @param {Element} parent @returns {HTMLElement[]} */
const controlsIn = (parent) => [...parent.querySelectorAll(/** @type {"button"} */ (CONTROLS))];

/** @param {Element} control @returns {Focused} */
function focusedAt(control) {
  const places = [];
  for (let parent = control.parentElement; parent !== null && parent.id !== "main"; parent = parent.parentElement) {
    const isBefore = (/** @type {Element} */ one) =>
      (one.compareDocumentPosition(control) & Node.DOCUMENT_POSITION_FOLLOWING) !== 0;
    places.push({ parent, at: controlsIn(parent).filter(isBefore).length });
  }
  return { control, name: nameOf(control), places };
}

/**
 * What is to be begun with there; else what does the same for the next row, stands where the control stood, or is nearest
 * to it.
 *
 * @param {Focused} focused
 */
function successor({ name, places }) {
  for (const { parent, at } of places) {
    if (!parent.isConnected || parent === document.body) continue;
    const isSeen = (/** @type {Element} */ one) => one.getClientRects().length > 0;
    const there = controlsIn(parent).filter(isSeen);
    const first = [.../** @type {NodeListOf<HTMLElement>} */ (parent.querySelectorAll("[autofocus]"))].find(isSeen);
    const found = first
      ?? there.slice(at).find((one) => nameOf(one) === name)
      ?? there.findLast((one) => nameOf(one) === name)
      ?? there[at]
      ?? there.at(-1);
    if (found !== undefined) return found;
  }
  return document.getElementById("main");
}

/** From now on a control that goes away leaves the focus to what takes its place, else to the view's beginning. */
export function keepFocus() {
  let focused = /** @type {Focused | null} */ (null);
  addEventListener("focusin", ({ target }) => {
    focused = focusedAt(/** @type {Element} */ (target));
  });
  addEventListener("focusout", ({ target }) => {
    // Whoever clicks beside everything has left it; one that is just being taken away is still in the page here.
    queueMicrotask(() => {
      const isLeft = focused?.control === target && /** @type {Element} */ (target).isConnected;
      if (isLeft && document.activeElement === document.body && document.hasFocus()) focused = null;
    });
  });
  const look = () => {
    if (focused === null || focused.control.isConnected || document.activeElement !== document.body) return;
    const next = successor(focused);
    focused = null;
    next?.focus({ preventScroll: true });
  };
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
}
