// A source put together from bytes of our own and stretches of another source, none of it held in memory.

import { concat } from "../library/bytes.js";

/** @import {Source} from "../library/recordings.js" */
/** @typedef {Uint8Array | { start: number, stop: number }} Part */

/**
 * @param {Source} base
 * @param {Part[]} parts bytes, or stretches of `base`, in their order
 * @returns {Source}
 */
export function splicedSource(base, parts) {
  /** @type {number[]} */
  const starts = [];
  let size = 0;
  for (const part of parts) {
    starts.push(size);
    size += part instanceof Uint8Array ? part.length : part.stop - part.start;
  }
  return {
    size,
    async read(start, stop) {
      const pieces = [];
      for (let i = lastAtMost(starts, start); i < parts.length && starts[i] < stop; i++) {
        const part = parts[i];
        const from = Math.max(start - starts[i], 0);
        if (part instanceof Uint8Array) pieces.push(part.subarray(from, stop - starts[i]));
        else {
          const first = part.start + from;
          const beyond = Math.min(part.stop, part.start + stop - starts[i]);
          if (first < beyond) pieces.push(await base.read(first, beyond));
        }
      }
      return concat(...pieces);
    },
  };
}

/** The place of the last number that is at most `limit`; the first is 0. @param {number[]} numbers @param {number} limit */
export function lastAtMost(numbers, limit) {
  let [low, high] = [0, numbers.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (numbers[middle] <= limit) low = middle;
    else high = middle - 1;
  }
  return low;
}
