// HMAC, HKDF and AES-GCM as docs/clients.md, section 2, means them.

import { concat } from "./bytes.js";

/** @import {Bytes} from "./bytes.js" */

export const KEY_SIZE = 32;
export const NONCE_SIZE = 12;
export const TAG_SIZE = 16;

// Undefined where the page is not a secure context; then nothing here is called.
const { subtle } = globalThis.crypto;

/**
 * @param {Bytes} key
 * @param {Bytes} message
 * @returns {Promise<Bytes>}
 */
async function hmac(key, message) {
  const hmacKey = await subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await subtle.sign("HMAC", hmacKey, message));
}

/**
 * HKDF-SHA256 (RFC 5869), 32 bytes, with an empty salt unless said otherwise.
 *
 * WebCrypto has an HKDF of its own, but Node's refuses an info above 1024 bytes, and that of a segment stream
 * has up to 1152. One block of output needs only these two lines.
 *
 * @param {Bytes} key
 * @param {Bytes} info
 * @param {Bytes} [salt]
 */
export async function hkdf(key, info, salt = new Uint8Array(32)) {
  const pseudorandomKey = await hmac(salt, key);
  return hmac(pseudorandomKey, concat(info, Uint8Array.of(1)));
}

/** @param {Bytes} bytes */
export function aesKey(bytes) {
  return subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]);
}

/**
 * @param {CryptoKey} key
 * @param {Bytes} nonce
 * @param {Bytes} plain
 * @param {Bytes} [additionalData]
 * @returns {Promise<Bytes>} ciphertext and tag
 */
export async function seal(key, nonce, plain, additionalData = new Uint8Array()) {
  return new Uint8Array(await subtle.encrypt({ name: "AES-GCM", iv: nonce, additionalData }, key, plain));
}

/**
 * Resolves to the plain bytes, or to null when they cannot be authenticated.
 *
 * @param {CryptoKey} key
 * @param {Bytes} nonce
 * @param {Bytes} sealed
 * @param {Bytes} [additionalData]
 * @returns {Promise<Bytes | null>}
 */
export async function open(key, nonce, sealed, additionalData = new Uint8Array()) {
  // Browsers disagree about the name of the error that an empty nonce or a missing tag makes.
  if (nonce.length === 0 || sealed.length < TAG_SIZE) return null;
  try {
    return new Uint8Array(await subtle.decrypt({ name: "AES-GCM", iv: nonce, additionalData }, key, sealed));
  } catch (error) {
    if (error instanceof Error && error.name === "OperationError") return null;
    throw error;
  }
}
