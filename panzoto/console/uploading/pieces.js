// A recording as it is made: sealed piece by piece under a key of its own, which the vault wraps, and read again.

import { ascii, concat, random } from "../library/bytes.js";
import { pieceFiles, writePiece } from "./disk.js";
import { lastAtMost } from "./spliced.js";

/** @import {Source} from "../library/recordings.js" */
/** @import {Place} from "./disk.js" */

const IV_SIZE = 12;
const TAG_SIZE = 16;

export const newPieceKey = () => random(32);

/** @param {Uint8Array} bytes */
const importKey = (bytes) =>
  crypto.subtle.importKey("raw", /** @type {Uint8Array<ArrayBuffer>} */ (bytes), "AES-GCM", false, ["encrypt", "decrypt"]);

const aboutOf = (/** @type {Place} */ { userId, id }, /** @type {number} */ number) =>
  ascii(`panzoto/console/piece\0${userId}/${id}/${number}`);

/** Writes pieces one after the other. */
export class PieceWriter {
  #place;
  #key;
  #number = 0;

  /** @param {Place} place @param {Uint8Array} pieceKey */
  constructor(place, pieceKey) {
    this.#place = place;
    this.#key = importKey(pieceKey);
  }

  /** How many pieces the disk has taken. */
  get written() {
    return this.#number;
  }

  /** Resolves once the piece outlives a crash; rejects with a DiskError, and then it may be tried again. @param {Blob} plain */
  async write(plain) {
    const iv = random(IV_SIZE);
    const how = { name: "AES-GCM", iv, additionalData: aboutOf(this.#place, this.#number + 1) };
    const sealed = await crypto.subtle.encrypt(how, await this.#key, await plain.arrayBuffer());
    await writePiece(this.#place, this.#number + 1, concat(iv, new Uint8Array(sealed)));
    this.#number += 1;
  }
}

/**
 * What was recorded, as far as it is on the disk, opened where it is read.
 *
 * @param {Place} place
 * @param {Uint8Array} pieceKey
 * @returns {Promise<Source>} of size 0 where nothing was written
 */
export async function piecesSource(place, pieceKey) {
  const key = await importKey(pieceKey);
  const files = (await pieceFiles(place)).filter(({ size }) => size >= IV_SIZE + TAG_SIZE);
  const starts = [0];
  for (const { size } of files) starts.push(starts[starts.length - 1] + size - IV_SIZE - TAG_SIZE);
  let held = { index: -1, plain: new Uint8Array() };
  const opened = async (/** @type {number} */ index) => {
    if (held.index !== index) {
      const bytes = new Uint8Array(await files[index].arrayBuffer());
      const how = { name: "AES-GCM", iv: bytes.subarray(0, IV_SIZE), additionalData: aboutOf(place, index + 1) };
      held = { index, plain: new Uint8Array(await crypto.subtle.decrypt(how, key, bytes.subarray(IV_SIZE))) };
    }
    return held.plain;
  };
  return {
    size: starts[files.length],
    async read(start, stop) {
      const parts = [];
      for (let i = lastAtMost(starts, start); i < files.length && starts[i] < stop; i++) {
        parts.push((await opened(i)).subarray(Math.max(0, start - starts[i]), stop - starts[i]));
      }
      return concat(...parts);
    },
  };
}
