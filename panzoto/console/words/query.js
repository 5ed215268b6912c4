// What a query means: the same as in the service's POST /api/search, docs/clients.md, section 6.6.

import { SPACE, wellFormed } from "./document.js";
import { borders, folded } from "./unicode.js";

/**
 * @typedef {object} Term folded words that follow each other
 * @property {string[]} words
 * @property {boolean} isOpen whether the last of them may be the beginning of one
 *
 * @typedef {object} Query what must occur, in any order and any segment of a recording, and what must not
 * @property {Term[]} wanted
 * @property {Term[]} unwanted
 */

/** The most characters that a query may have. */
export const LONGEST_QUERY = 1000;

// A minus counts where something begins, so that `co-operate` excludes nothing. A quote that is not closed
// reaches to the end.
const PARTS = new RegExp(`((?<![^${SPACE}])-)?(?:"([^"]*)(?:"|$)|([^${SPACE}"]+))`, "gu");

/**
 * Return what `text` asks for; null where it wants no word.
 *
 * All words are wanted, in quotes as a phrase; a minus before one says that it must not occur. What stands
 * without a space and falls into several words is a phrase. A word at the very end, outside quotes, may be a
 * beginning.
 *
 * @param {string} text
 * @returns {Query | null}
 */
export function parseQuery(text) {
  const query = wellFormed(text);
  /** @type {Map<string, Term>} */
  const wanted = new Map();
  /** @type {Map<string, Term>} */
  const unwanted = new Map();
  for (const part of query.matchAll(PARTS)) {
    const term = termOf(part, query.length);
    // Words hold no line break, so this names a term as it is.
    if (term !== null) (part[1] ? unwanted : wanted).set(`${term.words.join("\n")}\n${term.isOpen}`, term);
  }
  if (wanted.size === 0) return null;
  return { wanted: [...wanted.values()], unwanted: [...unwanted.values()] };
}

/** @param {RegExpExecArray} part @param {number} length @returns {Term | null} */
function termOf(part, length) {
  const [whole, minus, quoted, plain] = part;
  const letters = folded(quoted ?? plain);
  const found = [...borders(letters)];
  if (found.length === 0) return null;
  const endsQuery = part.index + whole.length === length && found[found.length - 1][1] === letters.length;
  const isOpen = endsQuery && quoted === undefined && minus === undefined;
  return { words: found.map(([start, end]) => letters.slice(start, end)), isOpen };
}
