// A transcript in the formats that people and players read, byte for byte as the service writes them.
//
// SubRip has no standard; it is written as its players agree on it. WebVTT is W3C's,
// https://www.w3.org/TR/webvtt1/.

import { utf8 } from "../library/bytes.js";

/** @import { Document, Segment } from "./document.js" */

/**
 * @typedef {{ type: string, ending: string, write: (document: Document) => Uint8Array<ArrayBuffer> }} Format
 */

// Python's `str.splitlines` knows these.
const LINE_BREAK = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/g;
const TIME_LINE = /^\s*\p{Nd}+:\p{Nd}+[^-]*-->/u;

/**
 * A writer of each segment in turn, behind what all begins with.
 *
 * @param {(segment: Segment, place: number) => string} write
 */
function each(write, head = "") {
  return (/** @type {Document} */ { segments }) => utf8(head + segments.map(write).join(""));
}

/** @type {Record<"text" | "srt" | "vtt" | "json", Format>} */
export const FORMATS = {
  text: { type: "text/plain", ending: "txt", write: each((segment) => `${spoken(segment)}\n`) },
  srt: { type: "application/x-subrip", ending: "srt", write: each(srtCue) },
  vtt: { type: "text/vtt", ending: "vtt", write: each(vttCue, "WEBVTT\n") },
  json: { type: "application/json", ending: "json", write: ({ json }) => json },
};

/** One segment as a line: who spoke, where that is known, and what. @param {Segment} segment */
export const spoken = ({ speaker, text }) =>
  speaker === null ? oneLine(text) : `${oneLine(speaker)}: ${oneLine(text)}`;

/** Each line break, of whatever kind, as a space: a blank line would end a cue. @param {string} text */
const oneLine = (text) => text.replace(LINE_BREAK, " ");

/** @param {Segment} segment @param {number} place */
function srtCue(segment, place) {
  return `${place + 1}\n${span(segment, ",")}\n${notATime(spoken(segment))}\n\n`;
}

/** @param {Segment} segment */
function vttCue(segment) {
  return `\n${span(segment, ".")}\n${voiced(segment)}\n`;
}

/** @param {Segment} segment */
function voiced({ speaker, text }) {
  const said = escaped(oneLine(text));
  return speaker === null ? said : `<v ${escaped(oneLine(speaker))}>${said}`;
}

/** @param {string} text */
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/**
 * SubRip knows no escapes, and players take a line that begins as a cue's times do for the next cue.
 *
 * @param {string} line
 */
const notATime = (line) => (TIME_LINE.test(line) ? line.replaceAll("-->", "-- >") : line);

/** @param {Segment} segment @param {string} point */
const span = ({ start_ms, end_ms }, point) => `${clock(start_ms, point)} --> ${clock(end_ms, point)}`;

/**
 * `00:00:00.000`; hours take as many digits as they need.
 *
 * @param {number} milliseconds
 * @param {string} point
 */
function clock(milliseconds, point) {
  const seconds = Math.floor(milliseconds / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const digits = (/** @type {number} */ number, length = 2) => String(number).padStart(length, "0");
  const rest = digits(milliseconds % 1000, 3);
  return `${digits(hours)}:${digits(minutes)}:${digits(seconds % 60)}${point}${rest}`;
}
