// What "Stay signed in on this device" keeps in the browser's database: tokens, account, and a key that no script can read.

import { forget, keep, kept } from "../database.js";

/**
 * @typedef {{ token: string, refresh_token: string, expires_at: string, session_id: string, user_id: string }} Tokens
 * @typedef {{ tokens: Tokens, key: CryptoKey | null, account: import("../library/keys.js").Account }} Kept
 */

const KEY = "session";

/** @returns {Promise<Kept | null>} */
export const keptSession = async () => (await kept("session", KEY)) ?? null;

/** Keep all of a session, or change what is kept of one; nothing where nobody stays. @param {Partial<Kept>} change */
export async function keepSession(change) {
  const before = await keptSession();
  if (before === null && change.tokens === undefined) return;
  await keep("session", KEY, { ...before, ...change });
}

export const forgetSession = () => forget("session", KEY);
