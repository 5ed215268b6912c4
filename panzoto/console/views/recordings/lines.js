// What stands in the list, line by line, and where: the rows that are seen can then be drawn alone.

/** @import { Recording } from "../../recordings/known.js" */
/** @import { Sitting } from "../../recordings/sittings.js" */
import { sittingFrom, sittingsOf } from "../../recordings/sittings.js";

/**
 * @typedef {object} Line
 * @property {boolean} newDay whether the heading of a day stands above it
 * @property {number} place of the entry it belongs to in the list, from 1 on
 * @property {Sitting | null} sitting
 * @property {Recording | null} recording null for the head of a sitting
 * @property {number} clip its place in the sitting, from 1 on
 *
 * @typedef {{ lines: Line[], entries: number }} Listing
 */

/** Heights in `rem`, the same as in style.css. */
export const HEIGHTS = { day: 3, head: 4, row: 4.25 };

/** A day as a number, in the browser's zone. @param {number} at */
function dayOf(at) {
  const date = new Date(at);
  return (date.getFullYear() * 12 + date.getMonth()) * 31 + date.getDate();
}

/** @param {Recording[]} recordings the newest first @returns {Listing} */
export function listingOf(recordings) {
  const entries = sittingsOf(recordings);
  /** @type {Line[]} */
  const lines = [];
  let before = NaN;
  entries.forEach((clips, index) => {
    const day = dayOf(clips[0].at);
    const sitting = clips.length > 1 ? sittingFrom(clips) : null;
    const common = { newDay: false, place: index + 1, sitting };
    if (sitting) lines.push({ ...common, newDay: day !== before, recording: null, clip: 0 });
    clips.forEach((recording, clip) => {
      lines.push({ ...common, newDay: !sitting && day !== before, recording, clip: clip + 1 });
    });
    before = day;
  });
  return { lines, entries: entries.length };
}

/** Where each line begins, in `rem`, and at last where the list ends. @param {Line[]} lines */
export function offsetsOf(lines) {
  const offsets = new Float64Array(lines.length + 1);
  lines.forEach(({ newDay, recording }, index) => {
    const own = recording ? HEIGHTS.row : HEIGHTS.head;
    offsets[index + 1] = offsets[index] + own + (newDay ? HEIGHTS.day : 0);
  });
  return offsets;
}

/** The first line that ends below `place`. @param {Float64Array} offsets @param {number} place */
export function lineAt(offsets, place) {
  let [low, high] = [0, offsets.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (offsets[middle + 1] <= place) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Put the lines of one entry together again. @param {Line[]} lines */
export function entriesOf(lines) {
  /** @type {Line[][]} */
  const entries = [];
  for (const line of lines) {
    const last = entries.at(-1);
    if (last && last[0].place === line.place) last.push(line);
    else entries.push([line]);
  }
  return entries;
}
