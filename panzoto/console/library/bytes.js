// Bytes and texts, without a library: what all other modules here stand on.

/** @typedef {Uint8Array<ArrayBuffer>} Bytes bytes as WebCrypto takes and gives them */

/**
 * The bytes of a text of ASCII alone.
 *
 * @param {string} text
 * @returns {Bytes}
 */
export function ascii(text) {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/**
 * @param {string} text
 * @returns {Bytes}
 */
export function utf8(text) {
  return new TextEncoder().encode(text);
}

/**
 * The text that these bytes spell; throws a TypeError for what is no UTF-8, since question marks in its place
 * would overwrite the original at the next saving. A byte order mark is part of the text.
 *
 * @param {Uint8Array} bytes
 */
export function fromUtf8(bytes) {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

/**
 * @param {...Uint8Array} pieces
 * @returns {Bytes}
 */
export function concat(...pieces) {
  const whole = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    whole.set(piece, offset);
    offset += piece.length;
  }
  return whole;
}

/**
 * Compare without stopping at the first difference, whose position would be a hint.
 *
 * @param {Uint8Array} one
 * @param {Uint8Array} other
 */
export function equal(one, other) {
  if (one.length !== other.length) return false;
  let difference = 0;
  one.forEach((byte, index) => (difference |= byte ^ (other[index] ?? 0)));
  return difference === 0;
}

/**
 * Bytes of the system's secure random source, at most 65536 at a time.
 *
 * @param {number} size
 * @returns {Bytes}
 */
export function random(size) {
  return globalThis.crypto.getRandomValues(new Uint8Array(size));
}

/**
 * Throws a TypeError for what is not pairs of hex digits.
 *
 * @param {string} digits
 * @returns {Bytes}
 */
export function fromHex(digits) {
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new TypeError("These are no hex digits");
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** @param {Uint8Array} bytes */
export function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Throws a TypeError for what is not base64 (RFC 4648, 4).
 *
 * @param {string} text
 * @returns {Bytes}
 */
export function fromBase64(text) {
  let characters;
  try {
    characters = atob(text);
  } catch {
    throw new TypeError("This is no base64");
  }
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < characters.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

/** @param {Uint8Array} bytes */
export function toBase64(bytes) {
  // A piece at a time: no function takes millions of arguments.
  let characters = "";
  for (let i = 0; i < bytes.length; i += 8192) {
    characters += String.fromCharCode(...bytes.subarray(i, i + 8192));
  }
  return btoa(characters);
}
