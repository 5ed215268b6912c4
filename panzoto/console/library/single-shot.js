// Single-shot recordings, which apps before version 2 wrote: docs/clients.md, section 4.
//
// WebCrypto has no streaming AES-GCM, so these hold the whole recording in memory. New recordings are version
// 2, and old long ones are better played through the service (section 6).

import { concat, random } from "./bytes.js";
import { RecordingError } from "./errors.js";
import { directKey } from "./keys.js";
import { open, seal, TAG_SIZE } from "./primitives.js";

/** @import {Bytes} from "./bytes.js" */
/** @import {Account} from "./keys.js" */

/**
 * The four variants, in the order in which they are tried.
 *
 * @type {Readonly<Record<string, { ivSize: number, saltReading: "raw" | "hex" }>>}
 */
export const SINGLE_SHOT_FORMATS = {
  "single-iv12-raw-salt": { ivSize: 12, saltReading: "raw" },
  "single-iv16-raw-salt": { ivSize: 16, saltReading: "raw" },
  "single-iv12-hex-salt": { ivSize: 12, saltReading: "hex" },
  "single-iv16-hex-salt": { ivSize: 16, saltReading: "hex" },
};

/**
 * Write a single-shot recording as phones in the field do; throws a RangeError for a format that there is
 * not.
 *
 * @param {Pick<Account, "key_salt">} account
 * @param {string} password
 * @param {Bytes} plain
 * @param {string} [format] one of SINGLE_SHOT_FORMATS
 * @returns {Promise<Bytes>}
 */
export async function encryptSingle(account, password, plain, format = "single-iv12-raw-salt") {
  const variant = SINGLE_SHOT_FORMATS[format];
  if (variant === undefined) throw new RangeError(`There is no format ${format}`);
  const iv = random(variant.ivSize);
  return concat(iv, await seal(await directKey(account, password, variant.saltReading), iv, plain));
}

/**
 * Try the four variants; rejects with a RecordingError (`tag`) when none opens.
 *
 * @param {Pick<Account, "key_salt">} account
 * @param {string} password
 * @param {Bytes} object
 * @returns {Promise<{ format: string, plain: Bytes }>}
 */
export async function decryptSingle(account, password, object) {
  const keys = {
    raw: await directKey(account, password, "raw"),
    hex: await directKey(account, password, "hex"),
  };
  for (const [format, { ivSize, saltReading }] of Object.entries(SINGLE_SHOT_FORMATS)) {
    if (object.length < ivSize + TAG_SIZE) continue;
    const plain = await open(keys[saltReading], object.subarray(0, ivSize), object.subarray(ivSize));
    if (plain !== null) return { format, plain };
  }
  throw new RecordingError("tag", "The recording is damaged, or was made with another password");
}
