// What is to be uploaded, and how far each is. One tab at a time works at an upload, the one that holds its lock; the
// others show what that one tells, and take over when it ends.

import { ServiceError } from "../library/errors.js";
import { isPassing } from "../library/service.js";
import { announce, tell } from "../parts/messages.js";
import { somebodyIsHere } from "../session/idle.js";
import { session } from "../session/session.js";
import { createStore } from "../store.js";
import { t } from "../texts/index.js";
import { carry, NeedsFile, NeedsVault } from "./carry.js";
import { keptAccounts, keptIds, removeAll } from "./disk.js";
import { amendRow, hearTabs, idsForCertain, rowOf, rowsOf, saveRow, tellTabs } from "./rows.js";
import { hold, isElsewhere, letGo, spokenHere, untilFree } from "./spoken.js";

/** @import {Row} from "./rows.js" */

/**
 * - `waiting`: for its turn; `preparing`: being encrypted; `sending`; `finishing`: the service is told
 * - `offline`: it is tried again in a while, or when there is a network
 * - `file`: the person is to choose the same file again; `locked`: the vault is to be opened first
 * - `failed`: only a person can help; `error` says what happened
 *
 * @typedef {"waiting" | "preparing" | "sending" | "finishing" | "offline" | "file" | "locked" | "failed"} Doing
 *
 * @typedef {{ row: Row, doing: Doing, done: number, total: number, error: unknown }} Upload bytes done, of so many
 * @typedef {{ doing: Doing, done?: number, total?: number, error?: unknown }} Report
 */

/** All uploads of who is signed in, the oldest first; what is being recorded is not among them yet. */
export const uploads = createStore({ list: /** @type {Upload[]} */ ([]) });

const AGAIN_MS = 120_000;
// How many uploads a tab works at at the same time.
const AT_ONCE = 1;
// Progress comes many times a second; it is shown this often.
const SHOWN_EVERY_MS = 100;

/** Files that a person has given to this tab. @type {Map<string, Blob>} */
const given = new Map();
/** @type {Map<string, Tending>} */
const tended = new Map();
let userId = "";

export const lockName = (/** @type {string} */ id) => `panzoto-upload-${id}`;

/** One upload as this tab stays with it until it is gone. */
class Tending {
  #id;
  #control = new AbortController();
  #wake = () => {};
  #woken = false;

  /** @param {string} id */
  constructor(id) {
    this.#id = id;
  }

  /** Look again now, whatever it waits for. */
  wake() {
    this.#woken = true;
    this.#wake();
  }

  /** Stop what goes on, and look again. */
  interrupt() {
    this.#control.abort(new DOMException("Stopped by the person", "AbortError"));
    this.wake();
  }

  async run() {
    const place = { userId, id: this.#id };
    for (let more = true; more && place.userId === userId; ) {
      this.#control = new AbortController();
      this.#woken = false;
      const { signal } = this.#control;
      try {
        const work = () => turn(place, signal);
        const again = await navigator.locks.request(lockName(place.id), { signal }, work);
        if (again === "gone") more = false;
        else if (again === "elsewhere") await untilFree(place.id, signal);
        else await this.#rest(again);
      } catch {
        // Where it was stopped, why stands in the row; else the database has failed, and may come back.
        if (!signal.aborted) await this.#rest(AGAIN_MS);
      }
    }
  }

  /** @param {number} milliseconds at most */
  async #rest(milliseconds) {
    if (this.#woken) return;
    await new Promise((resolve) => {
      const timer = milliseconds === Infinity ? undefined : setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });
  }
}

// ---- Turns ---------------------------------------------------------------------------------------------------

/** @type {Set<() => void>} */
const queued = new Set();
let running = 0;

/** @template T @param {AbortSignal} signal @param {() => Promise<T>} work @returns {Promise<T>} */
async function inTurn(signal, work) {
  while (running >= AT_ONCE) await placeFreed(signal);
  running += 1;
  try {
    return await work();
  } finally {
    running -= 1;
    for (const freed of [...queued].slice(0, 1)) freed();
  }
}

/** Resolves when it is the next one's turn; rejects with the signal's reason. @param {AbortSignal} signal @returns {Promise<void>} */
function placeFreed(signal) {
  return new Promise((resolve, reject) => {
    const leave = (/** @type {() => void} */ settle) => {
      queued.delete(freed);
      signal.removeEventListener("abort", stopped);
      settle();
    };
    const freed = () => leave(resolve);
    const stopped = () => leave(() => reject(signal.reason));
    if (signal.aborted) return reject(signal.reason);
    queued.add(freed);
    signal.addEventListener("abort", stopped, { once: true });
  });
}

/**
 * Work at an upload whose lock is held. Resolves to `"gone"`, to `"elsewhere"` where another tab has it in memory, or
 * to the milliseconds until it is tried again.
 *
 * @param {{ userId: string, id: string }} place
 * @param {AbortSignal} signal
 * @returns {Promise<"gone" | "elsewhere" | number>}
 */
async function turn(place, signal) {
  const row = await rowOf(place);
  if (row === undefined) return "gone";
  // Nobody records it any more, or its lock would not be ours: the tab that did has died.
  if (row.state === "recording") {
    await saveRow(Object.assign(row, { state: "ready" }));
    announce(t("recorder.found"));
  }
  await look(row.id);
  if (row.paused && row.state !== "canceled") return Infinity;
  const { id } = place;
  if (row.spoken && row.where === "file" && (await isElsewhere(id))) return "elsewhere";
  const blobNow = () => given.get(id) ?? spokenHere(id);
  try {
    report(id, { doing: "waiting" });
    await inTurn(signal, () => carry(row, { signal, blob: blobNow(), report: (now) => report(id, now) }));
    await look(id);
    return gone(id);
  } catch (error) {
    if (signal.aborted) return Infinity;
    return restAfter(id, error);
  }
}

/** Nothing is left to do, nor to be held. @param {string} id @returns {"gone"} */
function gone(id) {
  given.delete(id);
  letGo(id);
  return "gone";
}

/** How long to wait after what went wrong, having shown it. @param {string} id @param {unknown} error */
function restAfter(id, error) {
  if (error instanceof NeedsVault) report(id, { doing: "locked" });
  else if (error instanceof NeedsFile) {
    given.delete(id);
    report(id, { doing: "file", error: error.other ? error : null });
  } else if (error instanceof ServiceError && ["token_invalid", "token_missing"].includes(error.code)) {
    report(id, { doing: "locked" });
  } else if (error instanceof ServiceError && isPassing(error)) {
    report(id, { doing: "offline", error });
    return AGAIN_MS;
  } else report(id, { doing: "failed", error });
  return Infinity;
}

// ---- What is shown -------------------------------------------------------------------------------------------

/** @type {Map<string, number>} */
const shownAt = new Map();
/** How far this tab is with what it carries, for those that open meanwhile. @type {Map<string, Partial<Upload>>} */
const carried = new Map();

/** Show what an upload is at, here and in every other tab. @param {string} id @param {Report} now */
function report(id, now) {
  if (now.doing === "sending" || now.doing === "preparing") somebodyIsHere();
  const before = uploads.get().list.find(({ row }) => row.id === id);
  const soon = performance.now() - (shownAt.get(id) ?? -Infinity) < SHOWN_EVERY_MS;
  if (soon && before?.doing === now.doing && now.done !== now.total) return;
  shownAt.set(id, performance.now());
  show(id, { error: null, ...now });
  const { error, ...told } = now;
  carried.set(id, told);
  tellTabs({ type: "progress", userId, id, now: told });
}

/** @param {string} id @param {Partial<Upload>} change */
function show(id, change) {
  uploads.set(({ list }) => ({ list: list.map((one) => (one.row.id === id ? { ...one, ...change } : one)) }));
}

/** Read an upload's row anew, show it, and stay with it. @param {string} id */
export async function look(id) {
  const owner = userId;
  const row = await rowOf({ userId: owner, id });
  if (owner !== userId) return;
  const others = uploads.get().list.filter((one) => one.row.id !== id);
  const before = uploads.get().list.find((one) => one.row.id === id);
  if (row === undefined || row.state === "canceled" || row.state === "arrived" || row.state === "recording") {
    if (before !== undefined) uploads.set({ list: others });
  } else {
    /** @type {Upload} */
    const now = { doing: "waiting", done: 0, total: 0, error: null, ...before, row };
    uploads.set({ list: [...others, now].sort((one, other) => one.row.addedAt - other.row.addedAt) });
    if (before === undefined) tellTabs({ type: "ask", userId, id });
  }
  if (row !== undefined && !tended.has(id)) {
    const tending = new Tending(id);
    tended.set(id, tending);
    tending.run().finally(() => tended.delete(id));
  }
}

hearTabs(async (message) => {
  if (message.userId !== userId) return;
  if (message.type === "progress") show(message.id, message.now);
  const now = message.type === "ask" ? carried.get(message.id) : undefined;
  if (now?.doing === "sending" || now?.doing === "preparing") {
    tellTabs({ type: "progress", userId, id: message.id, now });
  }
  if (message.type !== "row") return;
  await look(message.id);
  const row = await rowOf(message);
  if (row?.paused || row?.state === "canceled") tended.get(message.id)?.interrupt();
  else tended.get(message.id)?.wake();
});

// ---- What a person does --------------------------------------------------------------------------------------

/** Add an upload, of whose file or recording this tab holds the bytes or the disk does. @param {Row} row @param {Blob | null} blob */
export async function add(row, blob) {
  if (blob !== null && row.spoken) await hold(row.id, blob);
  else if (blob !== null) given.set(row.id, blob);
  try {
    await saveRow(row);
  } catch (error) {
    letGo(row.id);
    throw error;
  }
  await look(row.id);
}

/** @param {string} id @param {Partial<Row>} change */
async function changeRow(id, change) {
  await amendRow({ userId, id }, change);
  await look(id);
}

/** @param {string} id */
export async function pause(id) {
  // Stopped first, so that what goes on does not write the row as it was.
  await stopped(id, () => changeRow(id, { paused: true }));
}

/** Go on with what was paused, or at once with what waits for the network or has failed. @param {string} id */
export async function resume(id) {
  await changeRow(id, { paused: false });
  tended.get(id)?.wake();
}

/** Give an upload up; what only this browser has of it is gone then. @param {string} id */
export async function cancel(id) {
  await stopped(id, async () => {
    await changeRow(id, { state: "canceled" });
    await removeAll({ userId, id });
  });
  tended.get(id)?.wake();
}

/** Stop what goes on with an upload, in whatever tab, and do something while nothing does. @param {string} id @param {() => Promise<unknown>} work */
async function stopped(id, work) {
  const mine = navigator.locks.request(lockName(id), work);
  tellTabs({ type: "stop", userId, id });
  tended.get(id)?.interrupt();
  await mine;
}

hearTabs((message) => {
  if (message.type === "stop" && message.userId === userId) tended.get(message.id)?.interrupt();
});

/** The same file again, for an upload that lost it with its page. @param {string} id @param {Blob} file */
export async function giveFile(id, file) {
  given.set(id, file);
  show(id, { doing: "waiting", error: null });
  tended.get(id)?.wake();
}

// ---- Who is signed in ----------------------------------------------------------------------------------------

async function switchTo(/** @type {string} */ next) {
  for (const tending of tended.values()) tending.interrupt();
  tended.clear();
  given.clear();
  userId = next;
  uploads.set({ list: [] });
  if (next === "") return;
  for (const { id } of await rowsOf(next)) await look(id);
  for (const owner of await keptAccounts()) await tidy(owner);
}

/** Remove what belongs to no upload: its tab died between two steps, or its account was deleted. @param {string} owner */
async function tidy(owner) {
  const found = await keptIds(owner);
  // A row is written before anything is kept for it, so what was found before the rows are read is no new one.
  // Where they cannot be read nothing is known to be left over.
  const known = await idsForCertain(owner).then((ids) => new Set(ids), () => null);
  if (known === null) return;
  for (const id of found) if (!known.has(id)) await removeAll({ userId: owner, id });
}

function whoIsThere() {
  const next = session.get().account?.user_id ?? "";
  if (next !== userId) switchTo(next).catch(tell);
  else for (const tending of tended.values()) tending.wake();
}

session.subscribe(whoIsThere);
whoIsThere();

addEventListener("online", () => {
  for (const tending of tended.values()) tending.wake();
});
