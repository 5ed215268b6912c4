// Saving to a file: the worker answers the navigation of a frame with a stream, so that nothing is held in memory,
// whatever it weighs. Without a worker there is a Blob, and the service's own playback for what is larger.

import { announce, tell } from "../parts/messages.js";
import { ServiceError } from "../library/errors.js";
import { momentOf } from "../recordings/known.js";
import { somebodyIsHere } from "../session/idle.js";
import { session } from "../session/session.js";
import { freshToken } from "../session/tokens.js";
import { t } from "../texts/index.js";
import { authorization, DOWNLOAD } from "./addresses.js";
import { endingOf, kindOf } from "./kinds.js";
import { stemOf } from "./names.js";
import { ObjectError } from "./objects.js";
import { wordsFor } from "./problems.js";
import { openSealed } from "./sealed.js";
import { grantOf, openByService, opensWithVault, plainReader } from "./sounds.js";
import { answerWorker, askWorker, controller, tellWorker, WorkerError } from "./worker-link.js";

/** @typedef {import("./sounds.js").Recording} Recording */
/** @typedef {import("./addresses.js").Wanted} Wanted */

// What is held in memory where there is no worker, and how long the browser has to take it.
const MOST_BLOB = 200_000_000;
const BLOB_MS = 60_000;
// A browser ends a worker that hears nothing for half a minute, even while it streams.
const STAY_MS = 10_000;
const EXPORT = { path: "/api/user/export", kind: "application/zip" };

/** What the worker may ask for anew. @type {Map<string, () => Promise<Wanted>>} */
const wishes = new Map();

answerWorker("download", (id) => {
  const wish = wishes.get(id);
  if (wish === undefined || session.get().state !== "open") return null;
  return wish().then(
    (wanted) => ({ wanted }),
    () => null,
  );
});

/**
 * Save a recording, decrypted. Where only the service opens it, the password is asked for first. Rejects with what
 * `tell` takes.
 *
 * @param {Recording} recording
 * @param {string} [name] its title or time; the ending of its kind is added
 */
export async function downloadRecording(recording, name = "") {
  const stem = stemOf(name, momentOf(recording));
  try {
    if (!(await opensWithVault(recording))) return await saveSealed(recording, stem);
    const worker = await controller();
    if (worker === null) return await saveWithoutWorker(recording, stem);
    await throughWorker(worker, async () => ({ stem, grant: await grantOf(recording) }));
  } catch (error) {
    throw wordsFor(error);
  }
}

/** Save everything that the account has, as the service exports it. Rejects with what `tell` takes. */
export async function downloadExport() {
  const name = `panzoto-${new Date().toISOString().slice(0, 10)}.zip`;
  const wish = async () => ({ ...EXPORT, name, token: (await freshToken()) ?? "" });
  try {
    const worker = await controller();
    if (worker === null) saveBlob(await fetchedWhole(EXPORT.path, (await wish()).token), name);
    else await throughWorker(worker, wish);
  } catch (error) {
    throw wordsFor(error);
  }
}

/** @param {ServiceWorker} worker @param {() => Promise<Wanted>} wish */
async function throughWorker(worker, wish) {
  const id = crypto.randomUUID();
  wishes.set(id, wish);
  const staying = setInterval(() => {
    tellWorker({ type: "stay" });
    // Whoever waits for a long recording to be saved is there.
    if (session.get().state === "open") somebodyIsHere();
  }, STAY_MS);
  const over = () => {
    clearInterval(staying);
    wishes.delete(id);
  };
  try {
    await askWorker(worker, { type: "download", id, wanted: await wish() }, ({ problem }) => {
      over();
      if (problem) tell(wordsFor(new WorkerError(problem)));
    });
  } catch (error) {
    over();
    throw error;
  }
  announce(t("download.begun"));
  fetchFile(DOWNLOAD + id);
}

/**
 * Go to an address that the worker answers with a file. The page itself stays where it is: Firefox would break off
 * whatever it fetches, as if it were left, and fetches no module anew that was broken off. The frame stays as well,
 * since nothing tells when the browser has taken the file over; it is empty.
 *
 * @param {string} address
 */
function fetchFile(address) {
  const frame = document.createElement("iframe");
  frame.hidden = true;
  frame.src = address;
  document.body.append(frame);
}

// ---- Without the worker -------------------------------------------------------------------------------------

/** @param {Recording} recording @param {string} stem */
async function saveWithoutWorker(recording, stem) {
  const reader = await plainReader(recording);
  if (reader.length > MOST_BLOB) {
    announce(t("download.byService"));
    return saveServed((await openByService(recording)).plain, stem, recording);
  }
  announce(t("download.decrypting"));
  const pieces = [];
  for await (const piece of reader.read()) pieces.push(piece);
  const kind = kindOf(pieces[0] ?? new Uint8Array(), recording.content_type);
  saveBlob(new Blob(pieces, { type: kind }), stem + endingOf(kind));
}

/** What only the service opens. @param {Recording} recording @param {string} stem */
async function saveSealed(recording, stem) {
  const opened = await openSealed([recording]);
  if (opened === null) return;
  if ("upgraded" in opened) {
    await downloadRecording(opened.upgraded.get(recording.file_id) ?? recording, stem);
  } else {
    await saveServed(opened.sounds[0].plain, stem, recording);
  }
}

/**
 * Save what the service decrypts, under our name: it has one of its own for it.
 *
 * @param {string} address of the service's playback
 * @param {string} stem
 * @param {Recording} recording
 */
async function saveServed(address, stem, { content_type }) {
  const about = await fetch(address, { method: "HEAD", cache: "no-store" }).catch(() => null);
  const kind = kindOf(new Uint8Array(), about?.headers.get("Content-Type") ?? content_type);
  const name = stem + endingOf(kind);
  const worker = await controller();
  if (worker !== null) return throughWorker(worker, async () => ({ name, path: address, token: "", kind }));
  const size = Number(about?.headers.get("Content-Length") ?? Infinity);
  if (size > MOST_BLOB) save(address, name);
  else saveBlob(await fetchedWhole(address, ""), name);
}

/** @param {string} path @param {string} token @returns {Promise<Blob>} */
async function fetchedWhole(path, token) {
  const headers = authorization(token);
  const answer = await fetch(path, { headers, cache: "no-store" }).catch(() => null);
  if (answer === null) throw new ObjectError("unreachable");
  if (!answer.ok || answer.body === null) throw await refusal(answer);
  const pieces = [];
  let size = 0;
  for (let reader = answer.body.getReader(), read = await reader.read(); !read.done; read = await reader.read()) {
    pieces.push(read.value);
    size += read.value.length;
    if (size > MOST_BLOB) {
      await reader.cancel();
      throw wordsFor("too_large");
    }
  }
  return new Blob(pieces);
}

/** @param {Response} answer */
async function refusal(answer) {
  const { code = "unknown", error = "", request_id: requestId = null } = await answer.json().catch(() => ({}));
  return new ServiceError(answer.status, code, error, { requestId });
}

/** @param {Blob} blob @param {string} name */
function saveBlob(blob, name) {
  const address = URL.createObjectURL(blob);
  save(address, name);
  setTimeout(() => URL.revokeObjectURL(address), BLOB_MS);
}

/** @param {string} address @param {string} name */
function save(address, name) {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  announce(t("download.begun"));
}
