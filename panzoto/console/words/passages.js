// The places of a document that a query finds: what stands there, when it was said, and what stands around
// it.

import { DividedText, joined, lastAtMost } from "./divided-text.js";
import { folded, foldedOffsets } from "./unicode.js";
import { WordTimes } from "./word-times.js";

/** @import { Place } from "./divided-text.js" */
/** @import { Segment } from "./document.js" */
/** @import { Query } from "./query.js" */
/**
 * @typedef {object} Passage
 * @property {number} start_ms
 * @property {number} end_ms
 * @property {string} before up to 80 code points
 * @property {string} text the whole words, as they stand there
 * @property {string} after up to 80 code points
 */

const MOST_PASSAGES = 5;
/** So many code points stand on each side of what was found, where there are as many. */
export const CONTEXT = 80;

/**
 * Return up to five passages in their order, none over another; none unless the whole query holds.
 *
 * Each wanted term is shown before any is shown again, and phrases go before words.
 *
 * @param {Segment[]} segments
 * @param {Query} query
 * @returns {Passage[]}
 */
export function passagesIn(segments, query) {
  const divided = new DividedText(joined(segments.map(({ text }) => folded(text))));
  if (!divided.holds(query)) return [];
  const written = new Written(segments);
  const longestFirst = [...query.wanted].sort((one, other) => other.words.length - one.words.length);
  const waiting = longestFirst.map((term) => written.places(divided.places(term)));
  return chosen(waiting).map((place) => written.passage(place));
}

/**
 * The first places that do not overlap, one of each term in turn, in the order of the text.
 *
 * @param {Iterator<Place>[]} waiting
 */
function chosen(waiting) {
  /** @type {Place[]} */
  const found = [];
  while (waiting.length > 0 && found.length < MOST_PASSAGES) {
    const places = /** @type {Iterator<Place>} */ (waiting.shift());
    const place = nextBeside(places, found);
    if (place === null) continue;
    found.push(place);
    waiting.push(places);
  }
  return found.sort(([one], [other]) => one - other);
}

/** @param {Iterator<Place>} places @param {Place[]} found @returns {Place | null} */
function nextBeside(places, found) {
  for (let next = places.next(); !next.done; next = places.next()) {
    const [start, end] = next.value;
    if (found.every(([otherStart, otherEnd]) => end <= otherStart || otherEnd <= start)) return next.value;
  }
  return null;
}

/** What was said as it was written, the segments a space apart, beside its folded form. */
class Written {
  #segments;
  #text;
  #starts;
  #offsets;

  /** @param {Segment[]} segments */
  constructor(segments) {
    this.#segments = segments;
    this.#text = segments.map(({ text }) => text).join(" ");
    /** @type {number[]} */
    this.#starts = [];
    let at = 0;
    for (const { text } of segments) {
      this.#starts.push(at);
      at += text.length + 1;
    }
    this.#offsets = foldedOffsets(this.#text);
  }

  /**
   * Turn places of the folded text into such of the written one.
   *
   * @param {Iterable<Place>} foldedPlaces
   * @returns {Generator<Place>}
   */
  *places(foldedPlaces) {
    for (const [start, end] of foldedPlaces) yield [lastAtMost(this.#offsets, start), this.#behind(end - 1)];
  }

  /** Behind the character of which this is folded, and the marks that follow it. @param {number} at */
  #behind(at) {
    let behind = lastAtMost(this.#offsets, at) + 1;
    while (behind < this.#text.length && this.#offsets[behind] === this.#offsets[behind + 1]) behind++;
    return behind;
  }

  /** @param {Place} place @returns {Passage} */
  passage([start, end]) {
    const [first, last] = [lastAtMost(this.#starts, start), lastAtMost(this.#starts, end - 1)];
    const startMs = new WordTimes(this.#segments[first]).startAt(start - this.#starts[first]);
    const endMs = new WordTimes(this.#segments[last]).endAt(end - this.#starts[last]);
    return {
      start_ms: startMs,
      end_ms: Math.max(startMs, endMs),
      before: Array.from(this.#text.slice(Math.max(0, start - 2 * CONTEXT), start)).slice(-CONTEXT).join(""),
      text: this.#text.slice(start, end),
      after: Array.from(this.#text.slice(end, end + 2 * CONTEXT)).slice(0, CONTEXT).join(""),
    };
  }
}
