// Whether a file that is chosen again is the same, to the last byte: its parts are encrypted under secrets that were
// used before, and with other sound these would give both away.

import { concat, toBase64 } from "../library/bytes.js";

/** @import {Source} from "../library/recordings.js" */

const PIECE = 1024 * 1024;

/**
 * SHA-256 over the SHA-256 of each MiB, as base64.
 *
 * @param {Source} source
 * @param {AbortSignal} [signal]
 */
export async function fingerprintOf(source, signal) {
  const digests = [];
  for (let start = 0; start < source.size; start += PIECE) {
    signal?.throwIfAborted();
    const bytes = await source.read(start, Math.min(start + PIECE, source.size));
    digests.push(new Uint8Array(await crypto.subtle.digest("SHA-256", /** @type {Uint8Array<ArrayBuffer>} */ (bytes))));
  }
  return toBase64(new Uint8Array(await crypto.subtle.digest("SHA-256", concat(...digests))));
}
