// How long recordings are: what they say of themselves, or else what their sound says.

import { openHere } from "./sounds.js";

/** @typedef {import("./sounds.js").Recording} Recording */

/** What a recording says of its length, in seconds; null for nothing. @param {Recording} recording */
export const saidLength = ({ duration_ms }) => (duration_ms === null ? null : duration_ms / 1000);

/**
 * Look into a recording for its length, in seconds; null where it does not say either. Rejects as opening does.
 *
 * @param {Recording} recording
 * @returns {Promise<number | null>}
 */
export async function measuredLength(recording) {
  const sound = await openHere(recording);
  if (sound === null) return null;
  const probe = new Audio();
  probe.preload = "metadata";
  try {
    return await new Promise((resolve) => {
      probe.onloadedmetadata = () => resolve(Number.isFinite(probe.duration) ? probe.duration : null);
      probe.onerror = () => resolve(null);
      probe.src = sound.address;
    });
  } finally {
    probe.removeAttribute("src");
    probe.load();
    sound.close();
  }
}
