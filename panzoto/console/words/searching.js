// A search as it goes on: hits come in portions, the newest first, while somebody types and transcripts are
// opened.

import { createStore } from "../store.js";
import { find, progress } from "./link.js";

/** @import { Hit, Position } from "./collection.js" */

/**
 * `isOver`: all that can be searched was; `isInvalid`: no word is wanted.
 *
 * @typedef {{ text: string, hits: Hit[], isOver: boolean, isInvalid: boolean }} Search
 */

/** @returns {Search} */
const nothing = () => ({ text: "", hits: [], isOver: false, isInvalid: false });

/** @type {import("../store.js").Store<Search>} */
export const search = createStore(nothing());

const PORTION = 20;
// The first hits are shown before the others are opened.
const FIRST_PORTION = 4;
// While transcripts are opened, what is shown is looked for again so often.
const AGAIN_MS = 1_000;

/** How many recordings are to be shown. */
let limit = PORTION;
/** Counts searches: what an earlier one finds is let be. */
let latest = 0;
/** @type {Position | null} */
let position = null;
let again = 0;

/** Look for this text from now on. @param {string} text */
export function look(text) {
  limit = PORTION;
  search.set({ text });
  run();
}

/** Show more of what there is. */
export function more() {
  limit += PORTION;
  goOn(++latest, search.get().hits);
}

export function forgetSearch() {
  latest++;
  clearTimeout(again);
  again = 0;
  if (search.get().text !== "") search.set(nothing());
}

/** Search from the newest on. */
function run() {
  const mine = ++latest;
  position = null;
  if (search.get().text.trim() === "") search.set({ hits: [], isOver: false, isInvalid: false });
  else goOn(mine, []);
}

/** @param {number} mine @param {Hit[]} before */
async function goOn(mine, before) {
  const { text } = search.get();
  let hits = before;
  do {
    const wanted = hits.length === 0 ? FIRST_PORTION : limit - hits.length;
    const found = await find({ text, position, limit: wanted }).catch(() => undefined);
    if (mine !== latest || found === undefined) return;
    if (found === null) return search.set({ hits: [], isOver: true, isInvalid: true });
    ({ position } = found);
    if (found.hits.length > 0) hits = [...hits, ...found.hits];
    // What an earlier text found stays until there is something else to show.
    const isOver = position === null;
    if (hits.length > 0 || isOver) search.set({ hits, isOver, isInvalid: false });
  } while (position !== null && hits.length < limit);
}

progress.subscribe(() => {
  if (again !== 0 || search.get().text.trim() === "") return;
  again = setTimeout(() => {
    again = 0;
    run();
  }, AGAIN_MS);
});
