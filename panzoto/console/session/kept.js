// What "Stay signed in on this device" keeps in the browser's database: tokens, account, and a key that no script can read.

import { amend, keep, kept } from "../database.js";

/**
 * @typedef {{
 *   token: string, refresh_token: string, expires_at: string, session_id: string, user_id: string, taken_at: number,
 * }} Tokens `taken_at`: when they came, in milliseconds by this browser's clock
 * @typedef {{
 *   tokens: Tokens, key: CryptoKey | null, account: import("./session.js").Account, ended: boolean,
 * }} Kept `ended`: the service has ended the session, so the tokens are worth nothing
 */

const KEY = "session";

/** @returns {Promise<Kept | null>} */
export const keptSession = async () => (await kept("session", KEY)) ?? null;

/** Keep a session in place of what was kept. @param {Kept} session */
export const keepSession = (session) => keep("session", KEY, session);

/**
 * Change what is kept of one session. Another one is left as it is: a tab may know one that was replaced since.
 *
 * @param {string | undefined} sessionId
 * @param {Partial<Kept>} change
 */
export const changeKept = (sessionId, change) =>
  amend("session", KEY, (/** @type {Kept | undefined} */ row) =>
    row?.tokens.session_id === sessionId ? { ...row, ...change } : row,
  );

/** Forget a session; another one is left as it is. @param {string | undefined} sessionId */
export const forgetKept = (sessionId) =>
  amend("session", KEY, (/** @type {Kept | undefined} */ row) =>
    row?.tokens.session_id === sessionId ? undefined : row,
  );
