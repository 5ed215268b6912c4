// One upload from whatever it has come to, to its end: docs/clients.md, section 5. Whatever goes wrong, the way out is the
// same: announce again with the same `client_id`, and do what the answer says is missing.

import { ServiceError } from "../library/errors.js";
import { sealName } from "../library/names.js";
import { blobSource, encryptedSize, encryptingSource, encryptRecording, newSecrets, RecordingReader } from "../library/recordings.js";
import { refreshSoon } from "../recordings/store.js";
import { isPassing } from "../library/service.js";
import { call, session, vault } from "../session/session.js";
import { concat } from "../library/bytes.js";
import { announce as say } from "../parts/messages.js";
import { day } from "../texts/formats.js";
import { t } from "../texts/index.js";
import { consentKnown, hasAgreed, wish } from "../words/consent.js";
import { DiskError, hasRoom, isPiece, objectFile, removeAll, removeFiles, writeObject } from "./disk.js";
import { proven } from "./fingerprint.js";
import { piecesSource } from "./pieces.js";
import { hide, objectName, removeRow, reveal, saveRow } from "./rows.js";
import { send } from "./send.js";
import { withDuration } from "./webm.js";

/** @import {Source} from "../library/recordings.js" */
/** @import {Proof} from "./fingerprint.js" */
/** @import {Hidden, Row} from "./rows.js" */
/** @import {Report} from "./queue.js" */

/** @typedef {{ signal: AbortSignal, blob: Blob | null, report: (now: Report) => void }} How */

/** The vault of whom the upload belongs to is locked. */
export class NeedsVault extends Error {}

/** The bytes are with the person, who is to choose the file again; `other` where another one was chosen. */
export class NeedsFile extends Error {
  constructor(other = false) {
    super("The file is needed again");
    this.other = other;
  }
}

/** The browser has cleared what was spoken before it had arrived. */
export class Lost extends Error {}

// What was recorded so long ago stands further down in the list than anybody looks.
const OUT_OF_SIGHT_MS = 24 * 3_600_000;
// So often it begins anew without a byte more having arrived.
const FRUITLESS = 5;
const MISMATCHES = 2;

/**
 * Upload, as far as it goes. Resolves once nothing is left to do and the row is gone. Rejects with NeedsVault, NeedsFile,
 * the signal's reason, or what a person has to be told; then the row stands as far as it has come.
 *
 * @param {Row} row changed and saved as it goes on
 * @param {How} how
 */
export async function carry(row, how) {
  if (row.state === "canceled") return giveUp(row, how);
  if (row.state === "arrived") return finish(row, how);
  await removeUnnamed(row);
  if (row.where === "file" && row.spoken && how.blob === null) await takePieces(row, how);
  if (row.where === "pieces" && (await isEmpty(row))) return vanish(row);
  const tries = { fruitless: 0, mismatches: 0 };
  for (;;) {
    how.signal.throwIfAborted();
    const announced = await announce(row, how);
    if (announced.status === "stored") break;
    if (announced.s3_key !== row.s3Key) await encrypt(row, announced, how);
    const object = await objectOf(row, how).catch((error) => bytesLost(row, how, error));
    how.report({ doing: "sending", done: 0, total: object.size });
    let furthest = 0;
    const progress = (/** @type {number} */ done) => {
      furthest = Math.max(furthest, done);
      how.report({ doing: "sending", done, total: object.size });
    };
    const sent = await send(announced.upload, object, { signal: how.signal, progress });
    if (sent && (await isComplete(row, how, tries))) break;
    if (!sent) tries.fruitless = furthest > 0 ? tries.fruitless : tries.fruitless + 1;
    if (tries.fruitless > FRUITLESS) throw new ServiceError(0, "bucket", "The bucket refuses what is sent");
  }
  return finish(row, how);
}

/** @param {Row} row */
function vaultOf(row) {
  const { state, account } = session.get();
  if (state !== "open" || account?.user_id !== row.userId) throw new NeedsVault();
  return vault();
}

// ---- The sound -----------------------------------------------------------------------------------------------

/** @param {Row} row */
async function isEmpty(row) {
  const { pieceKey } = await reveal(vaultOf(row), row);
  return (await piecesSource(row, /** @type {Uint8Array} */ (pieceKey))).size === 0;
}

/**
 * The disk did not take all of a recording, and the tab that had the rest in memory has died: what the disk has is sent.
 * Where that is nothing, the person may have saved a file.
 *
 * @param {Row} row
 * @param {How} how
 */
async function takePieces(row, { signal }) {
  const empty = await isEmpty(row).catch((error) => {
    if (error instanceof DiskError) return true;
    throw error;
  });
  if (empty) return;
  await withdraw(row, signal);
  const anew = { plainSize: null, durationMs: null, fileId: null, s3Key: null, sealedTitle: null };
  await saveRow(Object.assign(row, { where: "pieces", ...anew }));
}

/**
 * The sound as it is to be encrypted, its length known to the row.
 *
 * @param {Row} row
 * @param {How} how
 * @returns {Promise<Source>}
 */
async function soundOf(row, how) {
  const hidden = await reveal(vaultOf(row), row);
  const source = row.where === "pieces" ? await piecesSource(row, /** @type {Uint8Array} */ (hidden.pieceKey)) : await fileOf(hidden, how);
  const better = isWebM(row.contentType) ? await withDuration(source) : null;
  const sound = better?.source ?? source;
  if (row.plainSize === null) {
    await saveRow(Object.assign(row, { plainSize: sound.size, durationMs: better?.durationMs ?? row.durationMs }));
  }
  // What was announced counts, and another length would not be taken.
  if (sound.size !== row.plainSize) throw new NeedsFile(true);
  return sound;
}

/** @param {string | null} type */
const isWebM = (type) => type === "audio/webm" || type === "video/webm";

/** Files whose fingerprint was taken, and what reads them no further than they match it. @type {WeakMap<Blob, Proof>} */
const proofs = new WeakMap();

/** @param {Blob} blob @param {AbortSignal} signal @returns {Promise<Proof>} */
async function proofOf(blob, signal) {
  const proof = proofs.get(blob) ?? (await proven(readable(blobSource(blob)), () => new NeedsFile(true), signal));
  proofs.set(blob, proof);
  return proof;
}

/** @param {Hidden} hidden @param {How} how @returns {Promise<Source>} */
async function fileOf({ fingerprint }, { blob, signal, report }) {
  if (blob === null) throw new NeedsFile();
  if (fingerprint === null) return readable(blobSource(blob));
  if (!proofs.has(blob)) report({ doing: "preparing" });
  const proof = await proofOf(blob, signal);
  if (proof.fingerprint !== fingerprint) throw new NeedsFile(true);
  return proof.source;
}

/** A file that was moved or changed since it was chosen cannot be read any more. @param {Source} source @returns {Source} */
const readable = (source) => ({
  size: source.size,
  read: (start, stop) =>
    source.read(start, stop).catch((error) => {
      throw error instanceof DOMException ? new NeedsFile() : error;
    }),
});

// ---- The object ----------------------------------------------------------------------------------------------

/** @param {Row} row @param {How} how */
async function announce(row, how) {
  if (row.plainSize === null) await soundOf(row, how);
  return call(
    "POST",
    "/api/uploads",
    {
      file_size: encryptedSize(/** @type {number} */ (row.plainSize)),
      client_id: row.id,
      content_type: row.contentType ?? undefined,
      recorded_at: row.recordedAt,
      duration_ms: row.durationMs ?? undefined,
    },
    { signal: how.signal },
  );
}

/**
 * Encrypt for the key that was announced: onto the disk, or, where that has no room, on the way.
 *
 * @param {Row} row
 * @param {{ file_id: string, s3_key: string }} announced
 * @param {How} how
 */
async function encrypt(row, { file_id: fileId, s3_key: s3Key }, how) {
  const opened = vaultOf(row);
  const hidden = await reveal(opened, row);
  const sound = row.where === "object" ? await decrypted(row, s3Key, how) : await soundOf(row, how);
  const secrets = newSecrets();
  const total = encryptedSize(sound.size);
  how.report({ doing: "preparing", done: 0, total });
  const title = hidden.title;
  const sealedTitle = title === null ? null : await sealName(opened, "title", fileId, title);
  let { where } = row;
  let { fingerprint } = hidden;
  try {
    if (row.where === "file" && !(await hasRoom(total * 1.1))) throw new DiskError("no room");
    const progress = (/** @type {number} */ done) => how.report({ doing: "preparing", done, total });
    const name = objectName({ fileId, objectOf: fileId });
    await writeObject(row, name, encryptRecording(opened, s3Key, sound, secrets), { signal: how.signal, progress });
    where = "object";
  } catch (error) {
    if (!(error instanceof DiskError) || row.where === "object") throw error;
    if (row.where === "file") ({ fingerprint } = await proofOf(/** @type {Blob} */ (how.blob), how.signal));
  }
  // Saved before the first byte is sent: a repeated PUT must send the very same.
  const sealed = await hide(opened, row, { ...hidden, secrets, fingerprint });
  const objectOf = where === "object" ? fileId : null;
  await saveRow(Object.assign(row, { fileId, s3Key, objectOf, sealedTitle, where, hidden: sealed }));
  await removeUnnamed(row);
}

/**
 * Remove what the row has no use for: what it was encrypted from, and objects of tabs that died before their row was
 * saved. Only a row that is saved may say so, since what it names is the only copy.
 *
 * @param {Row} row
 */
function removeUnnamed(row) {
  const named = objectName(row);
  return removeFiles(row, (name) => (row.where === "object" ? name !== named : !isPiece(name)));
}

/**
 * The sound of an upload that the service has given up, of which only the encrypted object is left.
 *
 * @param {Row} row
 * @param {string} announced the key of the upload that follows
 * @param {How} how
 * @returns {Promise<Source>}
 */
async function decrypted(row, announced, how) {
  const object = await objectFile(row, objectName(row)).catch((error) => bytesLost(row, how, error));
  const open = (/** @type {string} */ s3Key) => RecordingReader.open(vaultOf(row), s3Key, blobSource(object));
  // Releases that knew one name only wrote it anew before its row was saved, and may have got no further.
  const reader = await open(/** @type {string} */ (row.s3Key)).catch((error) =>
    open(announced).catch(() => {
      throw error;
    }),
  );
  return {
    size: reader.length,
    async read(start, stop) {
      const pieces = [];
      for await (const piece of reader.read(start, stop)) pieces.push(piece);
      return concat(...pieces);
    },
  };
}

/** @param {Row} row @param {How} how @returns {Promise<import("./send.js").SentObject>} */
async function objectOf(row, how) {
  if (row.where === "object") {
    const file = await objectFile(row, objectName(row));
    return { ...blobSource(file), blob: (start, stop) => file.slice(start, stop) };
  }
  const sound = await soundOf(row, how);
  const { secrets } = await reveal(vaultOf(row), row);
  return encryptingSource(vaultOf(row), /** @type {string} */ (row.s3Key), sound, /** @type {any} */ (secrets));
}

/**
 * The browser has cleared the encrypted recording. A file is chosen again and encrypted for a new upload, since the parts
 * of two encryptions never open; what was spoken is lost.
 *
 * @param {Row} row
 * @param {How} how
 * @param {unknown} error why there are no bytes
 * @returns {Promise<never>}
 */
async function bytesLost(row, { signal }, error) {
  if (!(error instanceof DiskError && error.isGone) || row.where !== "object") throw error;
  if (row.spoken) throw new Lost();
  await withdraw(row, signal);
  await saveRow(Object.assign(row, { where: "file", fileId: null, s3Key: null }));
  throw new NeedsFile();
}

// ---- The end -------------------------------------------------------------------------------------------------

/** Tell the service that all bytes are there. Resolves to whether they are. @param {Row} row @param {How} how @param {{ fruitless: number, mismatches: number }} tries */
async function isComplete(row, how, tries) {
  how.report({ doing: "finishing" });
  try {
    await complete(row, how);
    return true;
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    if (error.status === 422 && ++tries.mismatches >= MISMATCHES) throw error;
    if (error.status === 404 || error.status === 422 || error.code === "upload_incomplete") {
      tries.fruitless += 1;
      return false;
    }
    throw error;
  }
}

/** @param {Row} row @param {How} how @param {Record<string, unknown>} [body] */
const complete = async (row, { signal }, body = {}) =>
  checkOwn(row, await call("POST", `/api/uploads/${row.fileId}/complete`, body, { signal }));

/**
 * Only the service can say that a recording has arrived: what a proxy puts in the place of its answer says nothing, and
 * the only copy would be removed for it.
 *
 * @param {Row} row
 * @param {any} answer
 */
function checkOwn(row, answer) {
  if (answer?.audio_file?.file_id === row.fileId) return;
  throw new ServiceError(0, "unreadable", "The answer is not the service's");
}

/** The recording is in the list; what is kept here goes, its title and the wish for a transcript follow. @param {Row} row @param {How} how */
async function finish(row, how) {
  if (row.state !== "arrived") await saveRow(Object.assign(row, { state: "arrived" }));
  await removeAll(row);
  refreshSoon();
  sayWhere(row);
  how.report({ doing: "finishing" });
  try {
    if (row.sealedTitle !== null) {
      const path = `/api/audio-file/${row.fileId}`;
      checkOwn(row, await call("PATCH", path, { title: row.sealedTitle }, { signal: how.signal }));
      refreshSoon();
    }
  } catch (error) {
    // Somebody has erased it meanwhile.
    if (!(error instanceof ServiceError) || error.status !== 404) throw error;
  }
  await wishForTranscript(row, how);
  await vanish(row);
}

/** Say where the list has it, where that is out of sight. @param {Row} row */
function sayWhere({ recordedAt, spoken }) {
  const isFar = Date.now() - Date.parse(recordedAt) > OUT_OF_SIGHT_MS;
  if (spoken || !isFar || session.get().state !== "open") return;
  say(t("upload.listedAt", { day: day(new Date(recordedAt)) }));
}

/** Ask for the transcript, where somebody has agreed to that once. @param {Row} row @param {How} how */
async function wishForTranscript(row, how) {
  if (!(await hasAgreed(row.userId))) return;
  const opened = vaultOf(row);
  const { secrets } = await reveal(opened, row);
  if (secrets === null || !(await consentKnown())) return;
  const transcribe = wish(secrets.fileKey);
  if (transcribe === undefined) return;
  try {
    await complete(row, how, { transcribe });
    refreshSoon();
  } catch (error) {
    // What is refused can be asked for on the recording's own page, which says why; the recording has arrived.
    if (!(error instanceof ServiceError) || isPassing(error)) throw error;
  }
}

/** @param {Row} row */
async function vanish(row) {
  await removeRow(row);
  await removeAll(row);
}

/** @param {Row} row @param {How} how */
async function giveUp(row, { signal }) {
  await withdraw(row, signal);
  await vanish(row);
  refreshSoon();
}

/** Give up what was announced. @param {Row} row @param {AbortSignal} signal */
async function withdraw(row, signal) {
  try {
    if (row.fileId !== null) await call("DELETE", `/api/uploads/${row.fileId}`, undefined, { signal });
  } catch (error) {
    // 404: it was given up already; 409: it had arrived, and is in the list.
    if (!(error instanceof ServiceError) || ![404, 409].includes(error.status)) throw error;
  }
}
