// Titles and notes, which the service keeps and cannot read: docs/clients.md, section 5.8.

import { ascii, concat, fromBase64, fromUtf8, random, toBase64, utf8 } from "./bytes.js";
import { TranscriptError } from "./errors.js";
import { NONCE_SIZE, open, seal } from "./primitives.js";

/** @import {Vault} from "./keys.js" */

/** The most bytes of UTF-8 a title or a note may have: 4 KiB of base64 less nonce and tag. */
export const LONGEST_NAME = 3044;

/**
 * @param {"title" | "note"} what
 * @param {string} fileId
 */
const boundTo = (what, fileId) => ascii(`panzoto/v2/${what}\0${fileId}`);

/**
 * Write a title or a note in the form that all clients of the account read.
 *
 * @param {Vault} vault
 * @param {"title" | "note"} what
 * @param {string} fileId
 * @param {string} text
 * @returns {Promise<string>} base64, as the call takes it
 */
export async function sealName(vault, what, fileId, text) {
  const nonce = random(NONCE_SIZE);
  return toBase64(concat(nonce, await seal(vault.namesKey, nonce, utf8(text), boundTo(what, fileId))));
}

/**
 * Read a title or a note; rejects with a TranscriptError (`name`) for what is damaged or what an app of
 * before wrote.
 *
 * @param {Vault} vault
 * @param {"title" | "note"} what
 * @param {string} fileId
 * @param {string} value
 * @returns {Promise<string>}
 */
export async function openName(vault, what, fileId, value) {
  try {
    const sealed = fromBase64(value);
    const nonce = sealed.subarray(0, NONCE_SIZE);
    const plain = await open(vault.namesKey, nonce, sealed.subarray(NONCE_SIZE), boundTo(what, fileId));
    if (plain !== null) return fromUtf8(plain);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  throw new TranscriptError("name", `The ${what} is damaged, or was written by another app`);
}
