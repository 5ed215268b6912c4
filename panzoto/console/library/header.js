// The first 128 bytes of a version 2 recording: docs/clients.md, section 3.1.

import { ascii, concat, equal, random } from "./bytes.js";
import { RecordingError } from "./errors.js";
import { hkdf, NONCE_SIZE, open, seal } from "./primitives.js";

/** @import {Bytes} from "./bytes.js" */
/** @import {Vault} from "./keys.js" */

/** @typedef {Pick<Vault, "keyId" | "wrappingKey">} HeaderKeys the part of a vault that headers need */

export const HEADER_SIZE = 128;

const MAGIC = ascii("PNZ2");
const SUITE = 0x01;

/**
 * Whether an object that begins like this, with 4 bytes at least, is a version 2 recording. All others are
 * single-shot; once in 2³² one of those begins like that too (section 4).
 *
 * @param {Uint8Array} beginning
 */
export function isVersion2(beginning) {
  return equal(beginning.subarray(0, MAGIC.length), MAGIC);
}

/**
 * The header of a recording under this file key.
 *
 * @param {HeaderKeys} vault
 * @param {Bytes} fileKey 32 bytes
 * @param {Bytes} [nonce] 12 bytes, never used with another file key
 * @returns {Promise<Bytes>}
 */
export async function makeHeader(vault, fileKey, nonce = random(NONCE_SIZE)) {
  const start = concat(MAGIC, Uint8Array.of(SUITE, 0), vault.keyId);
  const wrapped = concat(start, nonce, await seal(vault.wrappingKey, nonce, fileKey, start));
  return concat(wrapped, await commitmentOf(fileKey, wrapped), new Uint8Array(14));
}

/**
 * Check a header in the order of section 3.4 and resolve to its file key, 32 bytes; rejects with a
 * RecordingError.
 *
 * @param {HeaderKeys} vault
 * @param {Bytes} header
 * @returns {Promise<Bytes>}
 */
export async function openHeader(vault, header) {
  checkKind(header);
  if (!equal(header.subarray(6, 22), vault.keyId)) {
    throw new RecordingError("key_id", "The recording belongs to another vault");
  }
  const [start, nonce, wrapped] = [header.subarray(0, 22), header.subarray(22, 34), header.subarray(34, 82)];
  const fileKey = await open(vault.wrappingKey, nonce, wrapped, start);
  if (fileKey === null) throw new RecordingError("wrapped_key", "The recording's key is damaged");
  await checkCommitment(fileKey, header);
  return fileKey;
}

/**
 * Check a header against a file key that is known already; rejects with a RecordingError. This needs no
 * vault: the commitment alone proves the key.
 *
 * @param {Bytes} fileKey
 * @param {Bytes} header
 */
export async function proveFileKey(fileKey, header) {
  checkKind(header);
  await checkCommitment(fileKey, header);
}

/** @param {Bytes} header */
function checkKind(header) {
  if (header.length < HEADER_SIZE) throw new RecordingError("length", "The recording is cut off");
  if (!isVersion2(header) || header[4] !== SUITE) {
    throw new RecordingError("suite", "The recording is of a kind this client does not know");
  }
  if (header[5] !== 0) {
    throw new RecordingError("flags", "The recording asks for a feature this client does not know");
  }
  if (header.subarray(114).some((byte) => byte !== 0)) {
    throw new RecordingError("reserved", "The recording uses header bytes this client does not know");
  }
}

/**
 * @param {Bytes} fileKey
 * @param {Bytes} header
 */
async function checkCommitment(fileKey, header) {
  if (!equal(await commitmentOf(fileKey, header.subarray(0, 82)), header.subarray(82, 114))) {
    throw new RecordingError("commitment", "The recording's key is not the one it was written with");
  }
}

/**
 * @param {Bytes} fileKey
 * @param {Bytes} start the header up to the commitment
 */
function commitmentOf(fileKey, start) {
  return hkdf(fileKey, concat(ascii("panzoto/v2/commit"), start));
}
