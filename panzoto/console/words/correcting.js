// Corrections of a transcript: what is unknown of the document stays, and words keep their times where they
// can.

import { fromUtf8, utf8 } from "../library/bytes.js";
import { trimmed } from "./document.js";

/**
 * @typedef {{ place: number, text: string }} Correction `place` among the document's segments; an empty text
 *   takes it away
 */

/**
 * Return the document with corrected segments, as JSON in UTF-8.
 *
 * @param {Uint8Array<ArrayBuffer>} json
 * @param {Correction[]} corrections
 */
export function corrected(json, corrections) {
  const document = JSON.parse(fromUtf8(json));
  const texts = new Map(corrections.map(({ place, text }) => [place, trimmed(text)]));
  document.segments = document.segments.flatMap((/** @type {any} */ segment, /** @type {number} */ place) => {
    const text = texts.get(place);
    if (text === undefined) return [segment];
    return text === "" ? [] : [segmentWith(segment, text)];
  });
  document.source = "client";
  return utf8(JSON.stringify(document));
}

/** @param {any} segment @param {string} text */
function segmentWith({ words, ...rest }, text) {
  const timed = wordsOf(text, words);
  return timed === null ? { ...rest, text } : { ...rest, text, words: timed };
}

/**
 * The words of a corrected text. Those at its beginning and its end that were there before keep their times,
 * and those between share what is left evenly. Null where the engine's words are not to be trusted with that.
 *
 * @param {string} text
 * @param {unknown} before
 */
function wordsOf(text, before) {
  if (!Array.isArray(before) || before.length === 0 || !before.every(isTimed)) return null;
  const texts = text.split(/\s+/u);
  const former = before.map((word) => trimmed(word.text));
  const first = alike(texts, former);
  const last = alike(texts.slice(first).reverse(), former.slice(first).reverse());
  const [start, end] = spanOf(before, first, before.length - last);
  const between = evenly(texts.slice(first, texts.length - last), start, Math.max(start, end));
  return [...before.slice(0, first), ...between, ...before.slice(before.length - last)];
}

/**
 * How many of two lists are the same from the beginning on.
 *
 * @param {string[]} one
 * @param {string[]} other
 */
function alike(one, other) {
  let same = 0;
  while (same < Math.min(one.length, other.length) && one[same] === other[same]) same++;
  return same;
}

/**
 * From when to when the words `from` to `to` were said; where that is none, the pause that is there.
 *
 * @param {{ start_ms: number, end_ms: number }[]} words
 * @param {number} from
 * @param {number} to
 */
function spanOf(words, from, to) {
  if (from < to) return [words[from].start_ms, words[to - 1].end_ms];
  return [(words[from - 1] ?? words[0]).end_ms, (words[from] ?? words[words.length - 1]).start_ms];
}

/** @param {any} word */
const isTimed = (word) =>
  typeof word?.text === "string" && Number.isFinite(word.start_ms) && Number.isFinite(word.end_ms);

/** @param {string[]} texts @param {number} start @param {number} end */
function evenly(texts, start, end) {
  const at = (/** @type {number} */ place) => Math.round(start + ((end - start) * place) / texts.length);
  return texts.map((text, place) => ({ start_ms: at(place), end_ms: at(place + 1), text }));
}
