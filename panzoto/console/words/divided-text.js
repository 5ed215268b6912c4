// A folded text divided into words, and the places in it where given words stand.
//
// The text is that of a whole transcript: its segments, folded, with a line break between two and none
// within.

import { borders } from "./unicode.js";

/** @import { Query, Term } from "./query.js" */
/** @typedef {[start: number, end: number]} Place in code units of the folded text */

const EDGE = "\n";
// Between two of these there is never a border, whatever stands around them.
const BOUND = /[a-z0-9_]/;

/** Return texts of segments as one that can be divided. @param {string[]} foldedTexts */
export const joined = (foldedTexts) => foldedTexts.map((text) => text.replaceAll(EDGE, " ")).join(EDGE);

/**
 * Whether the words of all wanted terms may stand in a folded text: where not, they do not. It costs next to
 * nothing beside dividing the text.
 *
 * @param {string} text
 * @param {Query} query
 */
export const mayHold = (text, { wanted }) =>
  wanted.every(({ words, isOpen }) =>
    words.every((word, number) => mayStand(text, word, isOpen && number === words.length - 1)),
  );

/** @param {string} text @param {string} word @param {boolean} isOpen */
function mayStand(text, word, isOpen) {
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    const end = at + word.length;
    if (isBorder(text, at) && (isOpen || isBorder(text, end))) return true;
  }
  return false;
}

/** Whether there may be a border here. @param {string} text @param {number} at */
const isBorder = (text, at) =>
  at === 0 || at === text.length || !(BOUND.test(text[at - 1]) && BOUND.test(text[at]));

export class DividedText {
  #starts;
  #ends;
  #line;
  #lineStarts;
  #segmentStarts;

  /** @param {string} text folded, as `joined` gives it */
  constructor(text) {
    const places = [...borders(text)];
    this.#starts = Uint32Array.from(places, ([start]) => start);
    this.#ends = Uint32Array.from(places, ([, end]) => end);
    // With an edge around each word, finding words that follow each other is finding a string, which takes no
    // longer for a text and a phrase that nearly match everywhere.
    this.#line = EDGE + places.map(([start, end]) => text.slice(start, end) + EDGE).join("");
    this.#lineStarts = new Uint32Array(places.length);
    let at = 0;
    places.forEach(([start, end], word) => {
      this.#lineStarts[word] = at;
      at += end - start + EDGE.length;
    });
    this.#segmentStarts = startsOf(text);
  }

  /** Whether the whole query holds. @param {Query} query */
  holds({ wanted, unwanted }) {
    return wanted.every((term) => this.#stands(term)) && !unwanted.some((term) => this.#stands(term));
  }

  /**
   * Yield where the words of a term follow each other, in one segment or two neighbours. Where the last of
   * them is the beginning of one, the place holds the whole word all the same.
   *
   * @param {Term} term
   * @returns {Generator<Place>}
   */
  *places({ words, isOpen }) {
    const sought = EDGE + words.join(EDGE) + (isOpen ? "" : EDGE);
    for (let at = this.#line.indexOf(sought); at >= 0; at = this.#line.indexOf(sought, at + 1)) {
      const first = lastAtMost(this.#lineStarts, at);
      const [start, end] = [this.#starts[first], this.#ends[first + words.length - 1]];
      if (this.segmentAt(end - 1) - this.segmentAt(start) <= 1) yield [start, end];
    }
  }

  /** The number of the segment to which a place belongs. @param {number} at */
  segmentAt(at) {
    return lastAtMost(this.#segmentStarts, at);
  }

  /** @param {Term} term */
  #stands(term) {
    return !this.places(term).next().done;
  }
}

/** Where each segment of a joined text begins. @param {string} text */
function startsOf(text) {
  const starts = [0];
  for (let at = text.indexOf(EDGE); at >= 0; at = text.indexOf(EDGE, at + 1)) starts.push(at + 1);
  return starts;
}

/**
 * The place of the last of the ascending numbers that is no more than `value`; -1 where all are more.
 *
 * @param {ArrayLike<number>} numbers
 * @param {number} value
 */
export function lastAtMost(numbers, value) {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
