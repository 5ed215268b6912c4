// When a part of a segment was said, by the words that the engine heard in it.

import { lettersOf } from "./unicode.js";

/** @import { Segment, Word } from "./document.js" */

// So many letters of a segment's text may belong to words that the engine did not list before one is looked
// for no more.
const REACH = 64;

/**
 * The words of a segment, each beside its place in the text. Engines divide words in ways of their own and
 * leave signs out, so the letters and numbers alone are compared.
 */
export class WordTimes {
  /** @type {{ start: number, end: number, word: Word }[]} */
  #placed = [];
  #segment;

  /** @param {Segment} segment */
  constructor(segment) {
    this.#segment = segment;
    const said = lettersOf(segment.text);
    let behind = 0;
    for (const word of segment.words) {
      const letters = lettersOf(word.text);
      const reach = said.slice(behind, behind + letters.length + REACH);
      const found = letters ? reach.indexOf(letters) : -1;
      if (found < 0) continue;
      const start = behind + found;
      behind = start + letters.length;
      this.#placed.push({ start, end: behind, word });
    }
  }

  /**
   * When what begins at this place of the text began; the segment's beginning where no word tells.
   *
   * @param {number} offset
   */
  startAt(offset) {
    return this.#at(this.#lettersBefore(offset))?.start_ms ?? this.#segment.start_ms;
  }

  /**
   * When what ends before this place of the text ended; the segment's end where no word tells.
   *
   * @param {number} offset
   */
  endAt(offset) {
    return this.#at(this.#lettersBefore(offset) - 1)?.end_ms ?? this.#segment.end_ms;
  }

  #lettersBefore(/** @type {number} */ offset) {
    return lettersOf(this.#segment.text.slice(0, offset)).length;
  }

  #at(/** @type {number} */ letter) {
    return this.#placed.find(({ start, end }) => start <= letter && letter < end)?.word ?? null;
  }

  /**
   * Where each word that was found stands in the segment's text, and when it was said.
   *
   * @returns {{ start: number, end: number, word: Word }[]}
   */
  inText() {
    const { text } = this.#segment;
    /**
     * Of each code unit of the letters where its character begins, and where it ends.
     *
     * @type {[number, number][]}
     */
    const spans = [];
    let at = 0;
    for (const character of text) {
      const span = /** @type {[number, number]} */ ([at, at + character.length]);
      for (let left = lettersOf(character).length; left > 0; left--) spans.push(span);
      at += character.length;
    }
    return this.#placed.map(({ start, end, word }) => {
      const [[from], [, to]] = [spans[start], spans[end - 1]];
      return { start: from, end: to, word };
    });
  }
}
