// What is known of each upload, in the browser's database. What only its owner may know of it is sealed in its row.

import { amend, forget, keep, kept, keysForCertain, valuesOf } from "../database.js";
import { ascii, fromBase64, fromUtf8, random, toBase64, utf8 } from "../library/bytes.js";

/** @import {Vault} from "../library/keys.js" */
/** @import {RecordingSecrets} from "../library/recordings.js" */

/**
 * - `recording`: it is being recorded, in the tab that holds its lock; where none does, that tab has died
 * - `ready`: the sound is there and is to be uploaded
 * - `arrived`: it is in the bucket and in the list; its title or its transcription is still to be asked for
 * - `canceled`: it is to be given up at the service
 *
 * @typedef {"recording" | "ready" | "arrived" | "canceled"} State
 *
 * Where the bytes are: `pieces` sealed on the disk; `file` with the person, or in this tab's memory; `object` on the
 * disk as the bucket will hold it.
 *
 * @typedef {"pieces" | "file" | "object"} Whereabouts
 *
 * @typedef {object} Row
 * @property {string} id random, and the `client_id` of the upload
 * @property {string} userId
 * @property {number} addedAt milliseconds since 1970
 * @property {boolean} spoken whether it was recorded here, so that no other copy of it is anywhere
 * @property {State} state
 * @property {Whereabouts} where
 * @property {boolean} paused
 * @property {number | null} plainSize bytes of the sound as it will be encrypted
 * @property {string | null} contentType
 * @property {string} recordedAt RFC 3339
 * @property {number | null} durationMs
 * @property {string | null} fileId
 * @property {string | null} s3Key for which it was, or is being, encrypted
 * @property {string | null} [objectOf] the `fileId` for which an object was last written here
 * @property {string | null} sealedTitle as the service takes it
 * @property {{ iv: Uint8Array<ArrayBuffer>, sealed: ArrayBuffer }} hidden
 */

/**
 * What is sealed in a row: the title; the key of its pieces; the secrets with which it is encrypted; what tells whether a
 * file that is chosen again is the same.
 *
 * @typedef {{ title: string | null, pieceKey: Uint8Array | null, secrets: RecordingSecrets | null, fingerprint: string | null }} Hidden
 */

const STORE = "uploads";
const channel = new BroadcastChannel("panzoto-uploads");
/** @type {Set<(message: any) => void>} */
const listeners = new Set();

channel.addEventListener("message", ({ data }) => {
  for (const listener of [...listeners]) listener(data);
});

/** Tell every other tab. @param {Record<string, unknown>} message */
export const tellTabs = (message) => channel.postMessage(message);

/** Hear what other tabs tell. @param {(message: any) => void} listener */
export const hearTabs = (listener) => listeners.add(listener);

const keyOf = (/** @type {{ userId: string, id: string }} */ { userId, id }) => `${userId}/${id}`;

/** @param {{ userId: string, id: string }} place @returns {Promise<Row | undefined>} */
export const rowOf = (place) => kept(STORE, keyOf(place));

/** All uploads of an account, the oldest first. @param {string} userId @returns {Promise<Row[]>} */
export const rowsOf = async (userId) =>
  (await valuesOf(STORE, `${userId}/`)).sort((one, other) => one.addedAt - other.addedAt);

/** The ids of all uploads of an account; rejects where the database cannot be read. @param {string} userId @returns {Promise<string[]>} */
export const idsForCertain = async (userId) =>
  (await keysForCertain(STORE, `${userId}/`)).map((key) => key.slice(userId.length + 1));

/**
 * The file on the disk that holds a row's object. Each upload has one of its own, so the one before is whole until the
 * row that names the next is saved. Releases that knew one name only leave no `objectOf`, or one of an earlier upload.
 *
 * @param {Pick<Row, "fileId" | "objectOf">} row
 */
export const objectName = ({ fileId, objectOf }) => (objectOf && objectOf === fileId ? `object-${fileId}` : "object");

/** @param {Row} row */
export async function saveRow(row) {
  await keep(STORE, keyOf(row), row);
  tellTabs({ type: "row", userId: row.userId, id: row.id });
}

/**
 * Change some of a row, and leave the rest as it is by then: whoever carries it may have saved it a moment ago, and what
 * a row said before that is not on the disk any more.
 *
 * @param {{ userId: string, id: string }} place
 * @param {Partial<Row>} change
 */
export async function amendRow(place, change) {
  await amend(STORE, keyOf(place), (/** @type {Row | undefined} */ row) => row && { ...row, ...change });
  tellTabs({ type: "row", userId: place.userId, id: place.id });
}

/** @param {{ userId: string, id: string }} place */
export async function removeRow(place) {
  await forget(STORE, keyOf(place));
  tellTabs({ type: "row", userId: place.userId, id: place.id });
}

// ---- What is sealed ------------------------------------------------------------------------------------------

const aboutOf = (/** @type {{ userId: string, id: string }} */ place) => ascii(`panzoto/console/upload\0${keyOf(place)}`);

/** @param {Vault} vault @param {{ userId: string, id: string }} place @param {Hidden} hidden @returns {Promise<Row["hidden"]>} */
export async function hide(vault, place, hidden) {
  const iv = random(12);
  const text = JSON.stringify(hidden, (_, value) => (value instanceof Uint8Array ? { base64: toBase64(value) } : value));
  const how = { name: "AES-GCM", iv, additionalData: aboutOf(place) };
  return { iv, sealed: await crypto.subtle.encrypt(how, vault.wrappingKey, utf8(text)) };
}

/** @param {Vault} vault @param {Row} row @returns {Promise<Hidden>} rejects with an OperationError where it is another vault's */
export async function reveal(vault, row) {
  const how = { name: "AES-GCM", iv: row.hidden.iv, additionalData: aboutOf(row) };
  const text = fromUtf8(new Uint8Array(await crypto.subtle.decrypt(how, vault.wrappingKey, row.hidden.sealed)));
  return JSON.parse(text, (_, value) => (typeof value?.base64 === "string" ? fromBase64(value.base64) : value));
}
