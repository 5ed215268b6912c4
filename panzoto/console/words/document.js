// The document of a transcript, read without believing any of it: docs/clients.md, section 6.3.

import { fromUtf8 } from "../library/bytes.js";

/**
 * @typedef {object} Word one word as the engine heard it: `text` is trimmed and not empty
 * @property {number} start_ms
 * @property {number} end_ms
 * @property {string} text
 *
 * @typedef {object} Segment something said: `text` is trimmed and not empty, `end_ms` never before `start_ms`
 * @property {number} start_ms
 * @property {number} end_ms
 * @property {string} text
 * @property {string | null} speaker
 * @property {Word[]} words those that have a text and times
 * @property {number} place where it stands in the document's `segments`
 *
 * @typedef {object} Document
 * @property {Uint8Array<ArrayBuffer>} json as it was written
 * @property {Segment[]} segments those that have a text and times, in order of `start_ms`
 */

// What Python's `str.strip` and `\s` take for white space, which is not all that JavaScript does, and more.
export const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const SPACE_AROUND = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, "g");

/** Return a text without white space at its ends, as the service trims it. @param {string} text */
export const trimmed = (text) => text.replace(SPACE_AROUND, "");

/**
 * Read what `openTranscript` resolves to, which it has found to be an object.
 *
 * @param {Uint8Array<ArrayBuffer>} json
 * @returns {Document}
 */
export const readDocument = (json) => ({ json, segments: segmentsOf(JSON.parse(fromUtf8(json)).segments) });

/** @param {unknown} written @returns {Segment[]} */
function segmentsOf(written) {
  if (!Array.isArray(written)) return [];
  return written.flatMap(segmentOf).sort((one, other) => one.start_ms - other.start_ms);
}

/** @param {any} written @param {number} place @returns {Segment[]} */
function segmentOf(written, place) {
  const said = saidIn(written);
  if (said === null) return [];
  return [{ ...said, place, speaker: textOf(written.speaker), words: wordsOf(written.words) }];
}

/** @param {unknown} written @returns {Word[]} */
function wordsOf(written) {
  if (!Array.isArray(written)) return [];
  return written.map(saidIn).filter((word) => word !== null);
}

/**
 * Text and times of a segment or word; null where one of them is missing.
 *
 * @param {any} written
 * @returns {Word | null}
 */
function saidIn(written) {
  if (typeof written !== "object" || written === null || Array.isArray(written)) return null;
  const [start, end] = [momentOf(written.start_ms), momentOf(written.end_ms)];
  const text = textOf(written.text);
  if (start === null || end === null || text === null) return null;
  return { start_ms: start, end_ms: Math.max(start, end), text };
}

/**
 * Whole milliseconds, halves to the even number; null for what is no moment of a recording.
 *
 * @param {unknown} value
 */
function momentOf(value) {
  if (typeof value !== "number" || !(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) return null;
  const whole = Math.floor(value);
  const rest = value - whole;
  return whole + Number(rest > 0.5 || (rest === 0.5 && whole % 2 === 1));
}

/** A text trimmed; null for what is none or blank. @param {unknown} value */
function textOf(value) {
  if (typeof value !== "string") return null;
  return wellFormed(trimmed(value)) || null;
}

/** Half a pair could not be written as UTF-8. @param {string} text */
export const wellFormed = (text) => text.replace(/\p{Surrogate}/gu, "\ufffd");
