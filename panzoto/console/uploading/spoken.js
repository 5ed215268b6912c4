// Recordings that the disk did not take as a whole: all of them is in the memory of the tab that recorded them, and there
// it stays until it has arrived, whoever signs out or in meanwhile. A lock tells the other tabs that it is there.

const lockName = (/** @type {string} */ id) => `panzoto-spoken-${id}`;

/** @type {Map<string, { blob: Blob, release: () => void }>} */
const held = new Map();

/** Hold a recording; resolves once every other tab can see that. @param {string} id @param {Blob} blob @returns {Promise<void>} */
export function hold(id, blob) {
  return new Promise((resolve, reject) => {
    const holding = () =>
      new Promise((release) => {
        held.set(id, { blob, release: () => release(undefined) });
        resolve();
      });
    navigator.locks.request(lockName(id), holding).catch(reject);
  });
}

/** What this tab holds of an upload, or null. @param {string} id */
export const spokenHere = (id) => held.get(id)?.blob ?? null;

/** Whether this tab holds anything that would be lost with it. */
export const holdsAny = () => held.size > 0;

/** Whether another tab holds it. @param {string} id */
export async function isElsewhere(id) {
  if (held.has(id)) return false;
  const { held: locks = [] } = await navigator.locks.query();
  return locks.some(({ name }) => name === lockName(id));
}

/** Resolves when no tab holds it any more; rejects with the signal's reason. @param {string} id @param {AbortSignal} signal */
export const untilFree = (id, signal) => navigator.locks.request(lockName(id), { signal }, () => {});

/** It has arrived, or was given up. @param {string} id */
export function letGo(id) {
  held.get(id)?.release();
  held.delete(id);
}
