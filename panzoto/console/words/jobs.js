// Asking for transcripts, and how far the service is with them.

import { toBase64 } from "../library/bytes.js";
import { RecordingError } from "../library/errors.js";
import { Service } from "../library/service.js";
import { askPassword } from "../playing/password.js";
import { isOld } from "../recordings/actions.js";
import { refreshSoon } from "../recordings/store.js";
import { call, session, vault } from "../session/session.js";
import { freshToken, tokenAfter } from "../session/tokens.js";
import { createStore } from "../store.js";
import { t } from "../texts/index.js";

/** @import { Recording } from "../recordings/known.js" */
/**
 * A job as the service tells it.
 *
 * @typedef {object} Job
 * @property {string} transcription_id
 * @property {string[]} file_ids
 * @property {"queued" | "running" | "succeeded" | "failed" | "canceled"} status
 * @property {number} progress 0 to 1
 * @property {{ code: string, error: string } | null} error
 *
 * @typedef {{ language?: string, replace?: boolean }} How
 */

const LOOK_MS = 2_000;
const service = new Service(location.origin, { token: freshToken, refused: tokenAfter });

/**
 * Jobs that somebody looks at, by their ids.
 *
 * @type {import("../store.js").Store<{ jobs: Map<string, Job> }>}
 */
export const jobs = createStore({ jobs: /** @type {Map<string, Job>} */ (new Map()) });

/** @param {Job} job */
function noted(job) {
  jobs.set(({ jobs: before }) => ({ jobs: new Map(before).set(job.transcription_id, job) }));
  return job;
}

/** Whether a job's end is still to come. @param {Job | undefined} job */
export const goesOn = (job) => job !== undefined && (job.status === "queued" || job.status === "running");

/**
 * Have recordings of one conversation transcribed, the oldest first. The service gets their own keys; where
 * one of them is of an older app, which has none, it needs the password. Resolves to null when nobody gave
 * it.
 *
 * @param {Recording[]} recordings
 * @param {How} how
 * @returns {Promise<Job | null>}
 */
export async function transcribe(recordings, how) {
  const keys = await keysOf(recordings);
  if (keys !== null) return askFor(recordings, { ...keys, ...how });
  /** @type {Job | null} */
  let job = null;
  await askPassword(t("words.passwordWhy"), {
    open: async (password) => {
      job = await askFor(recordings, { password, ...how });
    },
    action: t("words.transcribe"),
  });
  return job;
}

/** @param {Recording[]} recordings @param {object} proofAndHow @returns {Promise<Job>} */
async function askFor(recordings, proofAndHow) {
  const body = { ...whichOf(recordings), ...proofAndHow };
  try {
    return noted((await call("POST", "/api/transcriptions", body)).transcription);
  } finally {
    // Where it is refused, somebody else may have asked, or written one.
    refreshSoon();
  }
}

/** @param {Recording[]} recordings */
const whichOf = (recordings) =>
  recordings.length === 1
    ? { file_id: recordings[0].file_id }
    : { file_ids: recordings.map(({ file_id }) => file_id) };

/**
 * The recordings' own keys as the call takes them; null where one of them has none.
 *
 * @param {Recording[]} recordings
 */
async function keysOf(recordings) {
  if (recordings.some(isOld)) return null;
  /** @type {Record<string, string>} */
  const keys = {};
  try {
    for (const { file_id } of recordings) keys[file_id] = toBase64(await service.fileKey(vault(), file_id));
  } catch (error) {
    // What does not begin as a version 2 recording is one of an older app, of which the service knew no
    // format.
    if (error instanceof RecordingError && error.reason === "suite") return null;
    throw error;
  }
  return recordings.length === 1 ? { file_key: keys[recordings[0].file_id] } : { file_keys: keys };
}

/** @param {string} id */
export async function cancelJob(id) {
  await call("DELETE", `/api/transcriptions/${id}`);
  await look(id);
  refreshSoon();
}

/** Look how far a job is. @param {string} id */
export async function look(id) {
  const before = jobs.get().jobs.get(id);
  const { transcription } = await call("GET", `/api/transcriptions/${id}`);
  noted(transcription);
  if (goesOn(before) && !goesOn(transcription)) refreshSoon();
  return transcription;
}

/** Look at a job until its end, while the page is seen; returns how to stop. @param {string} id */
export function watch(id) {
  let timer = 0;
  let isOver = false;
  const next = async () => {
    let job;
    // Where the service cannot be reached, the next look may find it.
    if (document.visibilityState === "visible") job = await look(id).catch(() => undefined);
    if (isOver || (job !== undefined && !goesOn(job))) return;
    timer = setTimeout(next, LOOK_MS);
  };
  next();
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}

session.subscribe(() => {
  if (session.get().state === "out") jobs.set({ jobs: new Map() });
});
