// Corrections of a transcript: what is unknown of the document stays, and words keep their times where they can.

import { fromUtf8, utf8 } from "../library/bytes.js";
import { trimmed } from "./document.js";

/** @typedef {{ place: number, text: string }} Correction `place` among the document's segments; an empty text takes it away */

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
 * The words of a corrected text. Those at its beginning and its end that were there before keep their times, and those
 * between share what is left evenly. Null where the engine's words are not to be trusted with that.
 *
 * @param {string} text
 * @param {unknown} before
 */
function wordsOf(text, before) {
  if (!Array.isArray(before) || before.length === 0 || !before.every(isTimed)) return null;
  const texts = text.split(/\s+/u);
  let first = 0;
  while (first < Math.min(texts.length, before.length) && texts[first] === trimmed(before[first].text)) first++;
  let last = 0;
  const most = Math.min(texts.length, before.length) - first;
  while (last < most && texts[texts.length - 1 - last] === trimmed(before[before.length - 1 - last].text)) last++;
  const replaced = before.slice(first, before.length - last);
  const span = replaced.length > 0
    ? [replaced[0].start_ms, replaced[replaced.length - 1].end_ms]
    : [before[first - 1]?.end_ms ?? before[0].start_ms, before[first]?.start_ms ?? before[before.length - 1].end_ms];
  const between = evenly(texts.slice(first, texts.length - last), span[0], Math.max(span[0], span[1]));
  return [...before.slice(0, first), ...between, ...before.slice(before.length - last)];
}

/** @param {any} word */
const isTimed = (word) =>
  typeof word?.text === "string" && Number.isFinite(word.start_ms) && Number.isFinite(word.end_ms);

/** @param {string[]} texts @param {number} start @param {number} end */
function evenly(texts, start, end) {
  const at = (/** @type {number} */ place) => Math.round(start + ((end - start) * place) / texts.length);
  return texts.map((text, place) => ({ start_ms: at(place), end_ms: at(place + 1), text }));
}
