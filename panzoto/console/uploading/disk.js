// The browser's private file system (OPFS), in which recordings and what is to be uploaded wait, encrypted.
// `uploads/<user_id>/<id>/` holds one upload: `000001`, `000002` … of a recording as it is made, and the encrypted recording
// as the bucket will hold it, under the name that its row says.

/** @typedef {{ userId: string, id: string }} Place */

const ROOT = "uploads";
const BATCH = 1024 * 1024;

/** This browser keeps no files here: too old, a private window, or its place is full. */
export class DiskError extends Error {
  /** @param {unknown} cause */
  constructor(cause) {
    super("Files cannot be kept in this browser", { cause });
    this.name = "DiskError";
    /** Whether what was asked for is not there, and will not be; else the disk may have failed for a moment. */
    this.isGone = cause instanceof DOMException && cause.name === "NotFoundError";
  }
}

/** @template T @param {() => Promise<T>} work @returns {Promise<T>} rejects with a DiskError */
async function onDisk(work) {
  try {
    return await work();
  } catch (error) {
    throw error instanceof DiskError ? error : new DiskError(error);
  }
}

/** @param {string} userId @param {boolean} create */
async function accountFolder(userId, create) {
  const root = await (await navigator.storage.getDirectory()).getDirectoryHandle(ROOT, { create });
  return root.getDirectoryHandle(userId, { create });
}

/** @param {Place} place @param {boolean} [create] */
const folderOf = async ({ userId, id }, create = false) =>
  (await accountFolder(userId, create)).getDirectoryHandle(id, { create });

const nameOf = (/** @type {number} */ number) => String(number).padStart(6, "0");

/**
 * Write one piece of a recording; once this resolves it outlives a crash.
 *
 * @param {Place} place
 * @param {number} number from 1 on
 * @param {Uint8Array} bytes
 */
export const writePiece = (place, number, bytes) =>
  onDisk(async () => {
    const file = await (await folderOf(place, true)).getFileHandle(nameOf(number), { create: true });
    const writable = await file.createWritable();
    try {
      await writable.write(/** @type {Uint8Array<ArrayBuffer>} */ (bytes));
      await writable.close();
    } catch (error) {
      await writable.abort().catch(() => {});
      throw error;
    }
  });

/** The pieces of a recording in their order, without holes: what follows a missing one cannot be placed. @param {Place} place @returns {Promise<File[]>} */
export const pieceFiles = (place) =>
  onDisk(async () => {
    const files = [];
    const folder = await folderOf(place);
    for (let number = 1; ; number++) {
      try {
        files.push(await (await folder.getFileHandle(nameOf(number))).getFile());
      } catch (error) {
        if (error instanceof DOMException && error.name === "NotFoundError") return files;
        throw error;
      }
    }
  });

/**
 * Write the encrypted recording. It is there as a whole, or is empty.
 *
 * @param {Place} place
 * @param {string} name
 * @param {AsyncIterable<Uint8Array>} pieces
 * @param {{ signal: AbortSignal, progress: (bytes: number) => void }} how
 */
export async function writeObject(place, name, pieces, { signal, progress }) {
  const writable = await onDisk(async () => {
    const file = await (await folderOf(place, true)).getFileHandle(name, { create: true });
    return file.createWritable();
  });
  try {
    let written = 0;
    for await (const batch of batches(pieces)) {
      signal.throwIfAborted();
      await onDisk(() => writable.write(new Blob(/** @type {Uint8Array<ArrayBuffer>[]} */ (batch))));
      written += batch.reduce((sum, { length }) => sum + length, 0);
      progress(written);
    }
    await onDisk(() => writable.close());
  } catch (error) {
    await writable.abort().catch(() => {});
    throw error;
  }
}

/** @param {AsyncIterable<Uint8Array>} pieces */
async function* batches(pieces) {
  /** @type {Uint8Array[]} */
  let batch = [];
  let size = 0;
  for await (const piece of pieces) {
    batch.push(piece);
    size += piece.length;
    if (size < BATCH) continue;
    yield batch;
    [batch, size] = [[], 0];
  }
  if (size > 0) yield batch;
}

/** The encrypted recording; it is read when it is sent. @param {Place} place @param {string} name @returns {Promise<File>} */
export const objectFile = (place, name) =>
  onDisk(async () => (await (await folderOf(place)).getFileHandle(name)).getFile());

/** Whether a file is a piece of a recording, and not an object. @param {string} name */
export const isPiece = (name) => /^\d+$/.test(name);

/** Remove some of an upload's files; what does not go now, goes with the rest. @param {Place} place @param {(name: string) => boolean} which */
export async function removeFiles(place, which) {
  try {
    const folder = await folderOf(place);
    for (const name of await namesIn(folder)) if (which(name)) await folder.removeEntry(name);
  } catch {
    // Nothing was kept, or the disk fails: who reads what is left is told so.
  }
}

/** Remove all of an upload; resolves also where nothing is. @param {Place} place */
export async function removeAll({ userId, id }) {
  try {
    await (await accountFolder(userId, false)).removeEntry(id, { recursive: true });
  } catch {
    // Nothing was kept, or nothing can be kept here at all.
  }
}

/** The ids of all uploads of an account of which anything is kept. @param {string} userId @returns {Promise<string[]>} */
export const keptIds = (userId) => accountFolder(userId, false).then(namesIn, () => []);

/** Whose uploads are kept here. @returns {Promise<string[]>} */
export const keptAccounts = async () => {
  try {
    return await namesIn(await (await navigator.storage.getDirectory()).getDirectoryHandle(ROOT));
  } catch {
    return [];
  }
};

/** @param {FileSystemDirectoryHandle} folder @returns {Promise<string[]>} */
async function namesIn(folder) {
  const names = [];
  for await (const name of folder.keys()) names.push(name);
  return names;
}

/** Whether this browser can keep files here at all. */
export async function diskIsThere() {
  try {
    if (!("createWritable" in FileSystemFileHandle.prototype)) return false;
    await navigator.storage.getDirectory();
    return true;
  } catch {
    return false;
  }
}

/** Whether `bytes` more will probably fit. Browsers that do not say are believed to have room. @param {number} bytes */
export async function hasRoom(bytes) {
  const { quota, usage } = await estimate();
  return quota === undefined || usage === undefined || quota - usage > bytes;
}

/** @returns {Promise<StorageEstimate>} */
const estimate = async () => navigator.storage.estimate?.().catch(() => ({})) ?? {};

/** Ask the browser not to clear what is kept here when the machine runs short of room; nothing waits for the answer. */
export function askToKeep() {
  navigator.storage.persist?.().catch(() => {});
}
