// The recovery key as a person writes it: docs/clients.md, section 2.5.

import { AccountError } from "./errors.js";
import { KEY_SIZE } from "./primitives.js";

/** @import {Bytes} from "./bytes.js" */

// Crockford's base 32: no I, L, O or U.
const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const KEY_DIGITS = 52;
const CHECK_DIGITS = 4;

/**
 * The 32 bytes that these 14 groups spell. Spaces and hyphens are ignored, O is read as 0, I and L as 1.
 *
 * Rejects with an AccountError (`recovery_key`) for what is too short or too long, holds another character,
 * or does not have its checksum: a slip of the pen, which need not be sent to the service.
 *
 * @param {string} text
 * @returns {Promise<Bytes>}
 */
export async function parseRecoveryKey(text) {
  const written = text.toUpperCase().replaceAll(/[\s\p{Dash}]/gu, "").replaceAll("O", "0");
  const digits = Array.from(written.replaceAll(/[IL]/g, "1"), (digit) => DIGITS.indexOf(digit));
  const fits = digits.length === KEY_DIGITS + CHECK_DIGITS && !digits.includes(-1);
  // The last digit of the key has one bit of it and four zeros behind.
  const isPadded = ((digits[KEY_DIGITS - 1] ?? 1) & 0b1111) === 0;
  const key = fits && isPadded ? toBytes(digits.slice(0, KEY_DIGITS)) : null;
  if (key === null || (await checksumOf(key)) !== spelled(digits.slice(KEY_DIGITS))) {
    throw new AccountError("recovery_key", "This is not a recovery key: please compare each character");
  }
  return key;
}

/**
 * The 14 groups of a recovery key of 32 bytes.
 *
 * @param {Bytes} key
 * @returns {Promise<string>}
 */
export async function formatRecoveryKey(key) {
  if (key.length !== KEY_SIZE) throw new RangeError("A recovery key has 32 bytes");
  const whole = spelled(toDigits(key)) + (await checksumOf(key));
  return (whole.match(/.{4}/g) ?? []).join("-");
}

/** @param {number[]} digits */
const spelled = (digits) => digits.map((digit) => DIGITS[digit]).join("");

/** @param {Bytes} key the first 20 bits of whose SHA-256 are the checksum */
async function checksumOf(key) {
  const digest = new Uint8Array(await globalThis.crypto.subtle.digest("SHA-256", key));
  return spelled(toDigits(digest).slice(0, CHECK_DIGITS));
}

/**
 * Five bits each, the most significant first, with zeros behind the last.
 *
 * @param {Bytes} bytes
 */
function toDigits(bytes) {
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
  return (bits.match(/.{1,5}/g) ?? []).map((five) => parseInt(five.padEnd(5, "0"), 2));
}

/**
 * @param {number[]} digits
 * @returns {Bytes} as many whole bytes as they make
 */
function toBytes(digits) {
  const bits = digits.map((digit) => digit.toString(2).padStart(5, "0")).join("");
  return Uint8Array.from(bits.match(/.{8}/g) ?? [], (eight) => parseInt(eight, 2));
}
