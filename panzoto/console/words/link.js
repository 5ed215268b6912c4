// The page's side of the Worker of transcripts: it lives while the vault is open, and is told what recordings
// there are.

import { ServiceError } from "../library/errors.js";
import { recordings } from "../recordings/store.js";
import { lock, session, vault } from "../session/session.js";
import { freshToken, tokenAfter } from "../session/tokens.js";
import { createStore } from "../store.js";
import { startWorker } from "../trusted.js";
import { unpackedError } from "./errors.js";

/** @import { Recording } from "../recordings/known.js" */
/** @import { Found, Position } from "./collection.js" */
/** @import { Correction } from "./correcting.js" */
/** @import { Segment } from "./document.js" */
/** @import { Transcript } from "./words-worker.js" */

/**
 * How far the transcripts are opened: `ready` of `all` can be searched; `following` while changes are
 * fetched; `failure` is why they are not up to date. `changes` counts how often some have changed.
 *
 * @typedef {{ ready: number, all: number, following: boolean, failure: unknown, changes: number }} Progress
 */

/** @returns {Progress} */
const nothing = () => ({ ready: 0, all: 0, following: false, failure: null, changes: 0 });

/** @type {import("../store.js").Store<Progress>} */
export const progress = createStore(nothing());

/** Who wants to know which transcripts have changed. @type {Set<(fileIds: string[]) => void>} */
const listeners = new Set();

/** @type {Worker | null} */
let worker = null;
/** @type {string | null} */
let userId = null;
let number = 0;
/**
 * What was asked, and those segments of the answer that have come already.
 *
 * @type {Map<number, { resolve: (result: any) => void, reject: (error: unknown) => void, segments: Segment[] }>}
 */
const waiting = new Map();
/** What the Worker knows of the list. @type {Map<string, Recording>} */
let listed = new Map();

/**
 * Be told of transcripts that have changed. Returns how to stop that.
 *
 * @param {(fileIds: string[]) => void} listener
 */
export function onChanged(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** @param {string} call @param {unknown} [argument] @returns {Promise<any>} */
function ask(call, argument) {
  const to = worker;
  if (to === null) return Promise.reject(new Error("The vault is locked"));
  return new Promise((resolve, reject) => {
    waiting.set(++number, { resolve, reject, segments: [] });
    to.postMessage({ number, call, argument });
  });
}

/**
 * Look for a query in all transcripts and titles that are open by now; null where it wants no word.
 *
 * @param {{ text: string, position: Position | null, limit: number }} wanted
 * @returns {Promise<Found | null>}
 */
export const find = (wanted) => ask("find", wanted);

/** What was said first in each of these recordings. @param {string[]} fileIds @returns {Promise<string[]>} */
export const beginnings = (fileIds) => ask("beginnings", fileIds);

/** @param {string} fileId @param {string} revision @returns {Promise<Transcript>} */
export const readTranscript = (fileId, revision) => noticing(ask("read", { fileId, revision }));

/**
 * @param {string} fileId
 * @param {Transcript} transcript
 * @param {Correction[]} corrections
 * @returns {Promise<Transcript>}
 */
export const correctTranscript = (fileId, { revision, language, json }, corrections) =>
  noticing(ask("correct", { fileId, revision, language, json, corrections }));

/**
 * A session that the service has ended locks the page, whoever finds out.
 *
 * @template T
 * @param {Promise<T>} asked
 * @returns {Promise<T>}
 */
function noticing(asked) {
  return asked.catch(async (error) => {
    const isOver = error instanceof ServiceError && ["token_invalid", "token_missing"].includes(error.code);
    if (isOver) await lock({ ended: true });
    throw error;
  });
}

/** Fetch what has changed among the transcripts. */
export async function followTranscripts() {
  try {
    await noticing(ask("follow"));
    progress.set({ failure: null });
  } catch (failure) {
    if (worker !== null) progress.set({ failure });
  }
}

/** @param {MessageEvent} message */
async function hear({ data }) {
  if (data.wanted === "token") {
    const from = worker;
    const token = await (data.used === null ? freshToken() : tokenAfter(data.used)).catch(() => null);
    from?.postMessage({ wanted: "token", number: data.number, token });
  } else if (data.told === "progress") {
    progress.set({ ready: data.ready, all: data.all, following: data.following });
  } else if (data.told === "changed") {
    progress.set(({ changes, ...rest }) => ({ ...rest, changes: changes + 1 }));
    for (const listener of listeners) listener(data.fileIds);
  } else if (data.part) {
    waiting.get(data.number)?.segments.push(...data.part);
    worker?.postMessage({ taken: data.number });
  } else {
    const { resolve, reject, segments } = waiting.get(data.number) ?? {};
    waiting.delete(data.number);
    if (data.error) reject?.(unpackedError(data.error));
    else resolve?.(data.result?.segments ? { ...data.result, segments } : data.result);
  }
}

function begin() {
  worker = startWorker("words/words-worker.js");
  worker.onmessage = hear;
  worker.onerror = (event) => {
    // Its files could not be fetched, or one of them is at fault.
    event.preventDefault();
    progress.set({ failure: new Error("The Worker of transcripts failed") });
  };
  ask("begin", { userId, vault: vault() }).then(list, (failure) => progress.set({ failure }));
}

function end() {
  worker?.terminate();
  worker = null;
  listed = new Map();
  for (const { reject } of waiting.values()) reject(new Error("The vault is locked"));
  waiting.clear();
  progress.set(nothing());
}

function whoIsThere() {
  const { state, account } = session.get();
  if (worker !== null && (state !== "open" || account?.user_id !== userId)) end();
  if (account !== null) userId = account.user_id;
  if (state === "open" && worker === null) begin();
}

/** Tell the Worker what is new in the list, and fetch transcripts where some have changed. */
function list() {
  const { rows, state } = recordings.get();
  if (worker === null || state === "loading") return;
  const now = new Map(rows.map((row) => [row.file_id, row]));
  const changed = rows.filter((row) => listed.get(row.file_id) !== row);
  const gone = [...listed.keys()].filter((fileId) => !now.has(fileId));
  const isWritten = changed.some((row) => revisionOf(row) !== revisionOf(listed.get(row.file_id)));
  listed = now;
  if (changed.length > 0 || gone.length > 0) {
    const told = changed.map(({ file_id, at, title }) => ({ fileId: file_id, at, title }));
    ask("list", { listed: told, gone }).catch(() => {});
  }
  if (isWritten) followTranscripts();
}

const revisionOf = (/** @type {Recording | undefined} */ row) => row?.transcript?.revision ?? null;

session.subscribe(whoIsThere);
recordings.subscribe(list);
whoIsThere();
