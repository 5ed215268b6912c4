// Sounds for `<audio>`: where their plain bytes come from. By default the worker decrypts them; what it cannot, and
// what no browser plays, the service opens.

import { toBase64 } from "../library/bytes.js";
import { fileKeyOf, RecordingReader } from "../library/recordings.js";
import { isVersion2 } from "../library/header.js";
import { refreshSoon, took } from "../recordings/store.js";
import { call, session, vault } from "../session/session.js";
import { createStore } from "../store.js";
import { SOUND } from "./addresses.js";
import { isUnheardOf } from "./kinds.js";
import { ObjectError, objectSource } from "./objects.js";
import { answerWorker, askWorker, controller, hearWorker, tellWorker, WorkerError } from "./worker-link.js";

/**
 * @typedef {import("../recordings/known.js").AudioFile} Recording as the service tells it
 *
 * @typedef {object} Sound
 * @property {string} address for `<audio>`
 * @property {string} plain the address of the sound as it was recorded
 * @property {"worker" | "service"} by who decrypts it
 * @property {number | null} size plain bytes, where known
 * @property {() => Promise<Error | null>} problem why it broke off; null where nothing is wrong with the bytes
 * @property {(told: (problem: Error) => void) => void} watch is told early that it breaks off, while the browser tries on
 * @property {() => void} close forgets it in the worker
 */

/** Recordings that the worker may ask for, by the random part of their addresses. @type {Map<string, Recording>} */
const granted = new Map();
/** Who is told that they break off. @type {Map<string, (problem: Error) => void>} */
const watching = new Map();
/** What was found of `format`, by `file_id`, where the service did not know it. */
export const found = createStore(/** @type {Record<string, "v2" | "single">} */ ({}));

answerWorker("sound", (id) => {
  const recording = granted.get(id);
  if (recording === undefined || session.get().state !== "open") return null;
  return grantOf(recording).then(
    (grant) => ({ grant }),
    ({ name, code = "unexpected" }) => ({ problem: { name, code } }),
  );
});

hearWorker("sound-failed", ({ id, problem }) => watching.get(id)?.(new WorkerError(problem)));

/**
 * What the worker needs to open a recording.
 *
 * @param {Recording} recording
 * @returns {Promise<import("./addresses.js").Grant>}
 */
export async function grantOf({ file_id, s3_key, content_type }) {
  const object = await objectOf(file_id);
  const { keyId, wrappingKey } = vault();
  return { s3Key: s3_key, contentType: content_type, vault: { keyId, wrappingKey }, object };
}

/** @param {string} fileId @returns {Promise<import("./objects.js").StoredObject>} */
const objectOf = (fileId) =>
  call("GET", `/api/audio-file/${encodeURIComponent(fileId)}/download`, undefined, { attempts: 3 });

/** The encrypted object, to be read in this page. @param {Recording} recording */
export async function sourceOf({ file_id }) {
  return objectSource(await objectOf(file_id), () => objectOf(file_id));
}

/**
 * Whether a recording opens with the vault alone. What `format` does not say its first bytes do; what the service
 * has never opened, and gives out to nobody before, does not.
 *
 * @param {Recording} recording
 */
export async function opensWithVault(recording) {
  if (recording.format !== null) return recording.format === "v2";
  const known = found.get()[recording.file_id];
  if (known !== undefined) return known === "v2";
  const kind = await lookedAt(recording);
  found.set({ [recording.file_id]: kind });
  return kind === "v2";
}

/** @param {Recording} recording @returns {Promise<"v2" | "single">} */
async function lookedAt(recording) {
  try {
    const source = await sourceOf(recording);
    return source.size >= 4 && isVersion2(await source.read(0, 4)) ? "v2" : "single";
  } catch (error) {
    if (/** @type {any} */ (error).code === "not_opened_yet") return "single";
    throw error;
  }
}

/** Whether the worker is to be had in this window. */
export const canDecryptHere = async () => (await controller()) !== null;

/**
 * Open a version 2 recording by the worker; resolves to null for what no browser plays, and where there is no
 * worker. Rejects with a WorkerError, and as calls do.
 *
 * @param {Recording} recording
 * @returns {Promise<Sound | null>}
 */
export async function openHere(recording) {
  const worker = await controller();
  if (worker === null) return null;
  const id = crypto.randomUUID();
  granted.set(id, recording);
  try {
    const { length, kind } = await askWorker(worker, { type: "open", id, grant: await grantOf(recording) });
    if (!isUnheardOf(kind)) return soundOf(id, length);
    forget(id);
    return null;
  } catch (error) {
    forget(id);
    throw error;
  }
}

/** @param {string} id @param {number} size @returns {Sound} */
const soundOf = (id, size) => ({
  address: SOUND + id,
  plain: SOUND + id,
  by: "worker",
  size,
  problem: () => problemWith(id),
  watch: (told) => watching.set(id, told),
  close: () => forget(id),
});

/** @param {string} id */
async function problemWith(id) {
  const worker = await controller();
  if (worker === null) return new WorkerError({ name: "WorkerError", code: "unreachable" });
  const told = async () => (await askWorker(worker, { type: "problem", id })).problem;
  let problem = await told();
  // One that was started anew since knows of none: what it could not read is not what no browser plays, which the service
  // would be asked to open.
  if (problem === null && !(await isReadable(id))) problem = (await told()) ?? { name: "WorkerError", code: "unreachable" };
  return problem === null ? null : new WorkerError(problem);
}

/** Whether the worker gives out the sound's first byte. @param {string} id */
async function isReadable(id) {
  const answer = await fetch(SOUND + id, { headers: { Range: "bytes=0-0" }, cache: "no-store" }).catch(() => null);
  await answer?.body?.cancel();
  // 416: it has none.
  return answer !== null && (answer.ok || answer.status === 416);
}

/** @param {string} id */
function forget(id) {
  granted.delete(id);
  watching.delete(id);
  tellWorker({ type: "close", id });
}

/**
 * Have the service open a version 2 recording, by its own key alone.
 *
 * @param {Recording} recording
 * @returns {Promise<Sound>}
 */
export async function openByService(recording) {
  const fileKey = await fileKeyOf(vault(), await sourceOf(recording));
  const wanted = { file_id: recording.file_id, file_key: toBase64(fileKey) };
  fileKey.fill(0);
  return servedSound(await call("POST", "/api/decrypt-audio", wanted));
}

/**
 * Have the service open recordings of earlier apps, several as one, with the password.
 *
 * @param {Recording[]} recordings
 * @param {string} password
 * @returns {Promise<Sound>}
 */
export async function openByPassword(recordings, password) {
  const ids = recordings.map((recording) => recording.file_id);
  const wanted = ids.length === 1 ? { file_id: ids[0] } : { file_ids: ids };
  const sound = servedSound(await call("POST", "/api/decrypt-audio", { ...wanted, password }));
  // By now the service knows what they are, so that they can be offered to be upgraded.
  refreshSoon();
  return sound;
}

/** @param {{ download_url: string, wav_url?: string }} answer @returns {Sound} */
const servedSound = ({ download_url, wav_url }) => ({
  address: sameOrigin(wav_url ?? download_url),
  plain: sameOrigin(download_url),
  by: "service",
  size: null,
  problem: () => servedProblem(sameOrigin(wav_url ?? download_url)),
  watch: () => {},
  close: () => {},
});

/** Why the service plays no more at an address that it gave. @param {string} address @returns {Promise<Error | null>} */
async function servedProblem(address) {
  const answer = await fetch(address, { method: "HEAD", cache: "no-store" }).catch(() => null);
  if (answer?.ok) return null;
  if (answer === null || answer.status >= 500 || answer.status === 429) return new ObjectError("unreachable");
  return new ObjectError(answer.status === 409 ? "object_changed" : "expired");
}

/** The service behind this page, by whatever name it was reached: the policy lets no other be played. @param {string} url */
function sameOrigin(url) {
  const { pathname, search } = new URL(url);
  return pathname + search;
}

/** A recording's plain bytes in this page, without the worker. @param {Recording} recording */
export async function plainReader(recording) {
  return RecordingReader.open(vault(), recording.s3_key, await sourceOf(recording));
}

/** The row of a recording as it is now. @param {string} fileId @returns {Promise<Recording>} */
export async function freshRow(fileId) {
  const { audio_file } = await call("GET", `/api/audio-file/${encodeURIComponent(fileId)}`);
  return audio_file;
}

/** Forget what was found out, when another person signs in. */
session.subscribe(() => {
  if (session.get().state !== "out") return;
  granted.clear();
  watching.clear();
  found.set(() => ({}));
});

/** Upgrade a recording of an earlier app, so that this browser opens it by itself from then on. @param {Recording} recording @param {string} password @returns {Promise<Recording>} */
export async function upgraded({ file_id }, password) {
  const path = `/api/audio-file/${encodeURIComponent(file_id)}/upgrade`;
  const { audio_file } = await call("POST", path, { password });
  found.set(({ [file_id]: before, ...others }) => others);
  took(audio_file);
  refreshSoon();
  return audio_file;
}

