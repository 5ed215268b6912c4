// Whether a file is the same as before, to the last byte: its parts are encrypted under secrets that were used before,
// and with other sound these would give both away. A file may change under the page that reads it: Firefox reads it as
// it is by then.

import { concat, equal, toBase64 } from "../library/bytes.js";

/** @import {Source} from "../library/recordings.js" */

const PIECE = 1024 * 1024;

/**
 * `fingerprint`: SHA-256 over the SHA-256 of each MiB, as base64; `source` reads no byte that does not belong to it.
 *
 * @typedef {{ fingerprint: string, source: Source }} Proof
 */

/**
 * Take a source's fingerprint, and hold it to that from then on.
 *
 * @param {Source} source
 * @param {() => Error} changed what reading rejects with where the source is another by then
 * @param {AbortSignal} [signal]
 * @returns {Promise<Proof>}
 */
export async function proven(source, changed, signal) {
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const digests = [];
  for (let start = 0; start < source.size; start += PIECE) {
    signal?.throwIfAborted();
    digests.push(await digestOf(await pieceAt(source, start)));
  }
  return { fingerprint: toBase64(await digestOf(concat(...digests))), source: heldTo(digests, source, changed) };
}

/** @param {Source} source @param {number} start */
const pieceAt = (source, start) => source.read(start, Math.min(start + PIECE, source.size));

/** @param {Uint8Array} bytes */
const digestOf = async (bytes) =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", /** @type {Uint8Array<ArrayBuffer>} */ (bytes)));

/**
 * @param {Uint8Array[]} digests
 * @param {Source} source
 * @param {() => Error} changed
 * @returns {Source}
 */
function heldTo(digests, source, changed) {
  let last = { number: -1, bytes: new Uint8Array() };
  const piece = async (/** @type {number} */ number) => {
    if (last.number === number) return last.bytes;
    const bytes = /** @type {Uint8Array<ArrayBuffer>} */ (await pieceAt(source, number * PIECE));
    if (!equal(await digestOf(bytes), digests[number])) throw changed();
    last = { number, bytes };
    return bytes;
  };
  return {
    size: source.size,
    async read(start, stop) {
      const parts = [];
      for (let number = Math.floor(start / PIECE); number * PIECE < Math.min(stop, source.size); number++) {
        parts.push((await piece(number)).subarray(Math.max(0, start - number * PIECE), stop - number * PIECE));
      }
      return concat(...parts);
    },
  };
}
