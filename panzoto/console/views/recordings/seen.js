// Which lines of a long list are seen: only they, and some around them, stand in the page.

import { useEffect, useLayoutEffect, useRef, useState } from "../../ui.js";
import { lineAt } from "./lines.js";

// So much above and below the window is drawn too, and by steps of so many lines the rows change.
const AROUND_PIXELS = 700;
const STEP = 8;
const MOST = 180;

/** @typedef {{ first: number, last: number }} Seen lines from `first` up to, not including, `last` */

const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize);

/**
 * @param {Float64Array} offsets in rem
 * @param {number} top of the list in the window, in pixels
 * @returns {Seen}
 */
function seenOf(offsets, top, size = rem()) {
  const above = lineAt(offsets, (-top - AROUND_PIXELS) / size);
  const below = lineAt(offsets, (-top + innerHeight + AROUND_PIXELS) / size) + 1;
  const first = Math.floor(above / STEP) * STEP;
  const last = Math.min(Math.ceil(below / STEP) * STEP, offsets.length - 1, first + MOST);
  return { first, last };
}

/**
 * Watch which lines of the list are seen, and give the list the height of all of them.
 *
 * @param {Float64Array} offsets where lines begin, in rem
 * @param {number} scrolled how far the page is about to be scrolled, in pixels
 * @returns {{ list: { current: HTMLElement | null }, seen: Seen }}
 */
export function useSeen(offsets, scrolled) {
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  const [seen, setSeen] = useState(() => seenOf(offsets, -scrolled));
  const latest = useRef({ offsets, seen });
  latest.current = { offsets, seen };
  const look = useRef(() => {
    if (list.current === null) return;
    const next = seenOf(latest.current.offsets, list.current.getBoundingClientRect().top);
    const { first, last } = latest.current.seen;
    if (next.first !== first || next.last !== last) setSeen(next);
  }).current;
  useLayoutEffect(look, [offsets]);
  useEffect(() => {
    addEventListener("scroll", look, { passive: true });
    addEventListener("resize", look);
    // What was scrolled before anybody listened.
    look();
    return () => {
      removeEventListener("scroll", look);
      removeEventListener("resize", look);
    };
  }, []);
  // A list that has become shorter is drawn before it is looked at.
  const lines = offsets.length - 1;
  const shown = { first: Math.min(seen.first, lines), last: Math.min(seen.last, lines) };
  useLayoutEffect(() => {
    const { style } = /** @type {HTMLElement} */ (list.current);
    style.paddingTop = `${offsets[shown.first]}rem`;
    style.paddingBottom = `${offsets[lines] - offsets[shown.last]}rem`;
  });
  return { list, seen: shown };
}
