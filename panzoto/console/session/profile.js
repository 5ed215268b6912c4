// What the service knows of the account beyond its keys: address, recovery key, engine for transcripts, usage.

import { createStore } from "../store.js";
import { call, noteEmail, session } from "./session.js";

/**
 * @typedef {{
 *   user_id: string, email: string, created_at: string, email_verified: boolean, pending_email: string | null,
 *   recovery_key_set: boolean,
 *   transcription: { available: boolean, engine: string | null, model: string | null, local: boolean },
 *   usage: { recordings: number, bytes: number, quota_recordings: number, quota_bytes: number },
 * }} Profile
 */

/** `now` is null until the service has answered. */
export const profile = createStore({ now: /** @type {Profile | null} */ (null) });

/** Who is asked for, and the answer that is to come. @type {{ of: string | undefined, answer: Promise<Profile | null> } | null} */
let asking = null;

/** Ask the service anew; rejects as calls do. Several who ask at once share one answer. @returns {Promise<Profile | null>} */
export function refreshProfile() {
  const of = session.get().account?.user_id;
  if (asking !== null && asking.of === of) return asking.answer;
  const mine = { of, answer: ask() };
  asking = mine;
  const over = () => {
    // Somebody else may have come meanwhile, and ask for themselves.
    if (asking === mine) asking = null;
  };
  mine.answer.then(over, over);
  return mine.answer;
}

async function ask() {
  const now = /** @type {Profile} */ (await call("GET", "/api/user"));
  // Whoever left meanwhile, or came in their place, is somebody else.
  if (session.get().state !== "open" || session.get().account?.user_id !== now.user_id) return null;
  profile.set({ now });
  await noteEmail(now.email);
  return now;
}

session.subscribe(() => {
  const { account } = session.get();
  if (profile.get().now !== null && account?.user_id !== profile.get().now?.user_id) profile.set({ now: null });
});
