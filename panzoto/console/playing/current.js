// What sounds at the moment, for whoever follows it: transcripts above all.

import { createStore } from "../store.js";
import { session } from "../session/session.js";

/**
 * `fileId` is the recording, or the clip of a sitting, that is at hand, and `seconds` counts within it; `playing` is
 * whether it sounds or is about to; `duration` is its own, in seconds, where known.
 *
 * @typedef {{ fileId: string | null, seconds: number, playing: boolean, duration: number | null }} Current
 */

/** @type {import("../store.js").Store<Current>} */
export const current = createStore(/** @type {Current} */ ({ fileId: null, seconds: 0, playing: false, duration: null }));

/**
 * The last jump to a place, until whoever shows the words has it in sight.
 *
 * @type {import("../store.js").Store<{ to: { fileId: string, seconds: number } | null }>}
 */
export const jumps = createStore({ to: /** @type {{ fileId: string, seconds: number } | null} */ (null) });

/** Where each recording was left in this session, in seconds. @type {Map<string, number>} */
const left = new Map();

/** The player that is drawn, if one is. @type {{ has: (fileId: string) => boolean, playAt: (fileId: string, seconds: number) => void } | null} */
let player = null;
/** A jump to a recording whose player is yet to come. @type {{ fileId: string, seconds: number } | null} */
let wanted = null;

/**
 * Play a recording from this second: at once where its player is drawn, else when it is. Where it is not, go there
 * afterwards: `go("recording", fileId)`.
 *
 * @param {string} fileId
 * @param {number} seconds
 */
export function playAt(fileId, seconds) {
  jumps.set({ to: { fileId, seconds } });
  if (player?.has(fileId)) player.playAt(fileId, seconds);
  else wanted = { fileId, seconds };
}

/** The drawn player says that it is there; returns how it says that it is not. @param {NonNullable<typeof player>} here */
export function playerIs(here) {
  player = here;
  return () => {
    if (player === here) player = null;
  };
}

/** The jump that waits for one of these recordings, and waits no more. @param {(fileId: string) => boolean} has */
export function takeWanted(has) {
  const jump = wanted;
  wanted = null;
  return jump !== null && has(jump.fileId) ? jump : null;
}

/** Where a recording was left; its beginning, if it never was. @param {string} fileId */
export const leftAt = (fileId) => left.get(fileId) ?? 0;

/** @param {string} fileId @param {number} seconds */
export function leave(fileId, seconds) {
  left.set(fileId, seconds);
}

session.subscribe(() => {
  if (session.get().state !== "out") return;
  left.clear();
  wanted = null;
  jumps.set({ to: null });
  current.set({ fileId: null, seconds: 0, playing: false, duration: null });
});
