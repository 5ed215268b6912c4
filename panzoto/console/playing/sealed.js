// Recordings of earlier apps, which only the service opens, and only with the password.

import { ServiceError } from "../library/errors.js";
import { t } from "../texts/index.js";
import { askPassword } from "./password.js";
import { openByPassword, upgraded } from "./sounds.js";

/** @typedef {import("./sounds.js").Recording} Recording */
/** @typedef {import("./sounds.js").Sound} Sound */

/**
 * Ask for the password, and open these recordings with it: as one sound where the service joins them, else each as
 * its own; or upgrade them, so that they open without it from then on. Null when the person thought better of it.
 *
 * @param {Recording[]} clips
 * @returns {Promise<{ sounds: Sound[] } | { upgraded: Map<string, Recording> } | null>}
 */
export async function openSealed(clips) {
  /** @type {{ sounds: Sound[] } | { upgraded: Map<string, Recording> } | null} */
  let result = null;
  await askPassword(t("player.sealedWhy"), {
    open: async (password) => {
      result = { sounds: await openedTogether(clips, password) };
    },
    upgrade: async (password) => {
      const rows = new Map();
      for (const clip of clips) rows.set(clip.file_id, await upgraded(clip, password));
      result = { upgraded: rows };
    },
  });
  return result;
}

/** @param {Recording[]} clips @param {string} password */
async function openedTogether(clips, password) {
  try {
    return [await openByPassword(clips, password)];
  } catch (error) {
    const apart = error instanceof ServiceError && ["clips_not_joinable", "sitting_too_long"].includes(error.code);
    if (!apart || clips.length === 1) throw error;
  }
  const sounds = [];
  for (const clip of clips) sounds.push(await openByPassword([clip], password));
  return sounds;
}
