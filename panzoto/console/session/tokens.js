// Access and refresh tokens. A refresh token is for one use, so one tab at a time renews, and the others take what it got.

import { ServiceError } from "../library/errors.js";
import { Service } from "../library/service.js";
import { keepSession, keptSession } from "./kept.js";

/** @typedef {import("./kept.js").Tokens} Tokens */

// How long before its end a token is renewed: a minute, or the last quarter of a short life.
const EARLY_MS = 60_000;

/** @type {{ tokens: Tokens, stay: boolean, renewAt: number } | null} */
let mine = null;
const service = new Service(location.origin);

/** @param {Tokens} tokens @param {boolean} stay */
export function takeTokens(tokens, stay) {
  const left = Date.parse(tokens.expires_at) - Date.now();
  mine = { tokens, stay, renewAt: Date.now() + left - Math.min(EARLY_MS, left / 4) };
}

export function forgetTokens() {
  mine = null;
}

/** A token that is good for a while yet, or null where nobody is signed in. */
export async function freshToken() {
  if (mine === null) return null;
  if (Date.now() < mine.renewAt) return mine.tokens.token;
  try {
    return await tokenAfter(mine.tokens.token);
  } catch (error) {
    // The old one may be good still; if it is not, the call that takes it says so.
    if (error instanceof ServiceError && error.code !== "invalid_refresh_token") return mine?.tokens.token ?? null;
    throw error;
  }
}

/** Another token than `used`, which the service has refused; null where the session has ended. @returns {Promise<string | null>} */
export async function tokenAfter(/** @type {string | null} */ used) {
  if (mine === null) return null;
  const { session_id } = mine.tokens;
  return navigator.locks.request(`panzoto-token-${session_id}`, async () => {
    if (mine === null) return null;
    if (mine.tokens.token !== used) return mine.tokens.token;
    const other = mine.stay ? (await keptSession())?.tokens : undefined;
    if (other !== undefined && other.session_id === session_id && other.token !== used) {
      takeTokens(other, true);
      return other.token;
    }
    return renewed(mine);
  });
}

/** @param {{ tokens: Tokens, stay: boolean }} old @returns {Promise<string | null>} */
async function renewed({ tokens, stay }) {
  try {
    const given = await service.call("POST", "/api/token/refresh", { refresh_token: tokens.refresh_token });
    const next = { ...tokens, ...given };
    // Kept before it is used: if this page ends in between, the next one has it.
    if (stay) await keepSession({ tokens: next });
    if (mine?.tokens.session_id === tokens.session_id) takeTokens(next, stay);
    return next.token;
  } catch (error) {
    if (error instanceof ServiceError && error.code === "invalid_refresh_token") return null;
    throw error;
  }
}
