// The recordings of who is signed in: the newest page first, then all that changed, and every half minute
// what is new.

import { ServiceError } from "../library/errors.js";
import { call, session } from "../session/session.js";
import { createStore } from "../store.js";
import { Known, recordingFrom } from "./known.js";

export { titleOf } from "./titles.js";

/** @import { AudioFile, Recording } from "./known.js" */
/**
 * @typedef {{
 *   rows: Recording[],
 *   state: "loading" | "shown" | "failed",
 *   whole: boolean,
 *   failure: unknown,
 *   aside: Map<string, Recording>,
 * }} Recordings `rows` are the newest first, and all there are once they are `whole`; `aside` holds what is in no
 *   list: recordings in the trash and such as were asked for by themselves. `failure` is why they are not up to
 *   date.
 */

const EVERY_MS = 30_000;
const FIRST_PAGE = 60;
const NEXT_PAGE = 200;
const CHANGES_PAGE = 1000;

/** @returns {Recordings} */
const none = () => ({ rows: [], state: "loading", whole: false, failure: null, aside: new Map() });

/** @type {import("../store.js").Store<Recordings>} */
export const recordings = createStore(none());

let known = new Known();
/** Whose recordings these are, a new one each time that somebody comes. @type {{ userId: string } | null} */
let owner = null;
/** Where the list goes on. @type {string | null} */
let cursor = null;
/** Up to where changes are known. @type {string | null} */
let since = null;
let pageComing = false;
let following = false;
let askedAgain = false;
let lastAsked = 0;

/**
 * The recording of this id, as far as it is known here.
 *
 * @param {string} fileId
 * @returns {Recording | null}
 */
export const recordingOf = (fileId) => known.get(fileId) ?? recordings.get().aside.get(fileId) ?? null;

/** Show what is known by now. @param {Partial<Recordings>} [more] */
function show(more = {}) {
  const state = known.begun ? "shown" : "loading";
  recordings.set({ rows: known.listed(), whole: known.whole, state, ...more });
}

/** Begin anew, for whoever comes. */
function clear() {
  known = new Known();
  [cursor, since] = [null, null];
  recordings.set(none());
}

// ---- Asking the service
// -------------------------------------------------------------------------------------

/**
 * Run `work`; what comes of it for somebody who has left meanwhile is let be.
 *
 * @param {(asker: object) => Promise<void>} work
 */
async function asking(work) {
  const asker = owner;
  if (asker === null || session.get().state !== "open") return;
  try {
    await work(asker);
  } catch (failure) {
    if (asker !== owner) return;
    const { state, failure: before } = recordings.get();
    // What is told already is not told anew with every attempt.
    recordings.set({ failure: before ?? failure, state: state === "loading" ? "failed" : state });
  }
}

/**
 * The end of an address that goes on where the last answer ended.
 *
 * @param {string} name
 * @param {string | null} place
 */
const continued = (name, place) => (place === null ? "" : `&${name}=${encodeURIComponent(place)}`);

/** @param {number} limit */
const pagePath = (limit) =>
  `/api/user/audio-files?order=recorded_at&limit=${limit}${continued("cursor", cursor)}`;

/** Fetch the next page of the list, unless all is known or one is coming already. */
export function loadMore() {
  const { begun } = known;
  if (pageComing || known.whole || (begun && cursor === null)) return Promise.resolve();
  pageComing = true;
  return asking(async (asker) => {
    const page = await call("GET", pagePath(begun ? NEXT_PAGE : FIRST_PAGE));
    if (asker !== owner) return;
    cursor = page.next_cursor;
    known.takePage(page.audio_files, page.next_cursor === null);
    show({ failure: null });
  }).finally(() => {
    pageComing = false;
  });
}

const changesPath = () => `/api/user/changes?limit=${CHANGES_PAGE}${continued("since", since)}`;

/** @param {object} asker */
async function takeChanges(asker) {
  for (let more = true; more && asker === owner; ) {
    const page = await call("GET", changesPath());
    if (asker !== owner) return;
    const stale = !known.whole || recordings.get().failure !== null || recordings.get().state !== "shown";
    known.takeChanges(page.changes, !page.more);
    [since, more] = [page.next, page.more];
    if (stale || page.changes.length > 0) show({ failure: null });
    // Its answer was lost, and until all changes are here nobody sees anything without it.
    if (!known.begun) loadMore();
  }
}

/** A cursor of long ago, or of another service's: begin anew. @param {object} asker */
async function takeChangesAnew(asker) {
  try {
    await takeChanges(asker);
  } catch (failure) {
    const outdated = failure instanceof ServiceError && failure.code === "invalid_cursor" && since !== null;
    if (!outdated) throw failure;
    if (asker !== owner) return;
    [known, since, cursor] = [new Known(), null, null];
    await takeChanges(asker);
  }
}

async function follow() {
  if (following) {
    askedAgain = true;
    return;
  }
  following = true;
  do {
    askedAgain = false;
    lastAsked = Date.now();
    await asking(takeChangesAnew);
  } while (askedAgain);
  following = false;
}

/** Ask what has changed, now: after an action, and when somebody comes back to the page. */
export function refreshSoon() {
  follow();
}

async function begin() {
  if (!known.begun) await loadMore();
  await follow();
}

/** Try once more after a failure that the list tells. */
export function tryAgain() {
  const { state } = recordings.get();
  recordings.set({ failure: null, state: state === "failed" ? "loading" : state });
  begin();
}

function ask() {
  if (document.visibilityState === "visible" && Date.now() - lastAsked >= EVERY_MS) follow();
}

setInterval(ask, EVERY_MS / 6);
document.addEventListener("visibilitychange", ask);

/** Whoever unlocks finds the list as it was; whoever comes newly finds nothing of the one before. */
function whoIsThere() {
  const { state, account } = session.get();
  if (state === "out" && owner !== null) {
    owner = null;
    clear();
  }
  if (state !== "open" || account === null) return;
  if (owner?.userId === account.user_id) return refreshSoon();
  if (owner !== null) clear();
  owner = { userId: account.user_id };
  begin();
}

session.subscribe(whoIsThere);
whoIsThere();

// ---- Single recordings
// --------------------------------------------------------------------------------------

/** @typedef {(fileId: string, file: AudioFile | null) => void} Listener */

/** @type {Set<Listener>} */
const listeners = new Set();
/** What was erased here, so that nobody asks the service for it. @type {Set<string>} */
const erased = new Set();

/** Have `listener` told of each recording that an action changed, or of null for one that is gone. */
export const onAction = (/** @type {Listener} */ listener) => listeners.add(listener);

/** Whether this recording was erased in this page. @param {string} fileId */
export const isErased = (fileId) => erased.has(fileId);

/** Take in what an action or a call answered. @param {AudioFile} file */
export function took(file) {
  const aside = new Map(recordings.get().aside);
  const listed = file.deleted_at === null && file.status !== "pending";
  if (listed) {
    known.put(file);
    aside.delete(file.file_id);
  } else {
    known.remove(file.file_id);
    aside.set(file.file_id, recordingFrom(file));
  }
  recordings.set({ rows: known.listed(), aside });
  for (const listener of listeners) listener(file.file_id, file);
}

/** Forget a recording that is gone. @param {string} fileId */
export function lost(fileId) {
  const aside = new Map(recordings.get().aside);
  aside.delete(fileId);
  known.remove(fileId);
  erased.add(fileId);
  recordings.set({ rows: known.listed(), aside });
  for (const listener of listeners) listener(fileId, null);
}

/**
 * Ask for one recording by itself, whether it is listed, in the trash or still coming.
 *
 * @param {string} fileId
 */
export async function fetchRecording(fileId) {
  const { audio_file } = await call("GET", `/api/audio-file/${encodeURIComponent(fileId)}`);
  took(audio_file);
}
