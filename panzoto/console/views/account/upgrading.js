// The upgrade of all old recordings, one after the other with one password; it goes on while other views are shown.

import { ServiceError } from "../../library/errors.js";
import { patientBytes } from "../../library/service.js";
import { refreshSoon } from "../../recordings/store.js";
import { refreshProfile } from "../../session/profile.js";
import { beforeLock, call, session } from "../../session/session.js";
import { createStore } from "../../store.js";

/**
 * @typedef {{
 *   state: "idle" | "running" | "over", all: number | null, done: number, failed: number, wait: number,
 * }} Upgrades `all`: null while the old ones are looked for; `wait`: seconds until the service hears the next one
 */

export const upgrades = createStore(
  /** @type {Upgrades} */ ({ state: "idle", all: null, done: 0, failed: 0, wait: 0 }),
);

const PAGE = 500;
// `PNZ2`, with which every recording of version 2 begins.
const MAGIC = [0x50, 0x4e, 0x5a, 0x32];

/** @type {AbortController | null} */
let running = null;

export function stopUpgrade() {
  running?.abort();
}

// The password goes with the key, and with the account where that is deleted.
beforeLock(stopUpgrade);
session.subscribe(() => {
  if (session.get().state !== "open") stopUpgrade();
});

/**
 * Upgrade all recordings of the earlier formats. One that cannot be upgraded is counted, and the next one comes.
 * Rejects as calls do where none can: with a wrong password, or without a service.
 *
 * @param {string} password
 */
export async function upgradeAll(password) {
  if (running !== null) return;
  const control = new AbortController();
  running = control;
  upgrades.set({ state: "running", all: null, done: 0, failed: 0, wait: 0 });
  try {
    const old = await oldRecordings(control.signal);
    upgrades.set({ all: old.length });
    for (const fileId of old) await upgradeOne(fileId, password, control.signal);
    upgrades.set({ state: "over" });
  } catch (error) {
    const { done, failed } = upgrades.get();
    upgrades.set({ state: done + failed > 0 ? "over" : "idle" });
    if (!control.signal.aborted) throw error;
  } finally {
    running = null;
    refreshProfile().catch(() => {});
    refreshSoon();
  }
}

/** @param {AbortSignal} signal @returns {Promise<string[]>} the oldest first */
async function oldRecordings(signal) {
  /** @type {string[]} */
  const old = [];
  let cursor = "";
  do {
    const page = await call("GET", `/api/user/audio-files?limit=${PAGE}${cursor}`, undefined, { signal });
    for (const row of page.audio_files) if (await isOld(row, signal)) old.unshift(row.file_id);
    cursor = page.next_cursor === null ? "" : `&cursor=${encodeURIComponent(page.next_cursor)}`;
  } while (cursor !== "");
  return old;
}

/**
 * Whether a recording is of an earlier format. Where nothing has opened it yet its first bytes tell.
 *
 * @param {{ file_id: string, format: string | null }} row
 * @param {AbortSignal} signal
 */
async function isOld({ file_id, format }, signal) {
  if (format !== null) return format !== "v2";
  try {
    const { url } = await call("GET", `/api/audio-file/${file_id}/download`, undefined, { signal });
    const { bytes } = await patientBytes(url, () => ({ headers: { Range: "bytes=0-3" } }), { signal, attempts: 3 });
    return !MAGIC.every((byte, index) => bytes[index] === byte);
  } catch (error) {
    signal.throwIfAborted();
    // There is nothing to upgrade where there is no object.
    if (error instanceof ServiceError && error.status !== 0) return false;
    throw error;
  }
}

/** @param {string} fileId @param {string} password @param {AbortSignal} signal */
async function upgradeOne(fileId, password, signal) {
  for (;;) {
    signal.throwIfAborted();
    try {
      await call("POST", `/api/audio-file/${fileId}/upgrade`, { password }, { signal, attempts: 1 });
      return upgrades.set((now) => ({ ...now, done: now.done + 1 }));
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      if (error.status === 429 || error.status === 503) await waiting(error.retryAfter ?? 5, signal);
      else if ([404, 409, 413, 422].includes(error.status)) return upgrades.set((now) => ({ ...now, failed: now.failed + 1 }));
      else throw error;
    }
  }
}

/** Wait, and tell for how long. @param {number} seconds @param {AbortSignal} signal */
async function waiting(seconds, signal) {
  for (let left = seconds; left > 0 && !signal.aborted; left--) {
    upgrades.set({ wait: left });
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  upgrades.set({ wait: 0 });
}
