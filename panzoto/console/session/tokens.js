// Access and refresh tokens. A refresh token is for one use, so one tab at a time renews, and the others take what it got.

import { fromBase64, fromUtf8 } from "../library/bytes.js";
import { ServiceError } from "../library/errors.js";
import { Service } from "../library/service.js";
import { changeKept, keptSession } from "./kept.js";

/** @typedef {import("./kept.js").Tokens} Tokens */

// How long before its end a token is renewed: a minute, or the last quarter of a short life.
const EARLY_MS = 60_000;
// For ten seconds after a refresh token was used the service answers with the very same successor, and later it takes the
// token for stolen and ends the session: where an answer does not come, all attempts are made within that time.
const REFRESHING = { attempts: 3, firstWait: 0.1, patience: 4 };

/** @type {{ tokens: Tokens, stay: boolean, renewAt: number } | null} */
let mine = null;
const service = new Service(location.origin);

/** Have calls made with these from now on; `stay` where they are kept, so that other tabs take part. @param {Tokens} tokens @param {boolean} stay */
export function takeTokens(tokens, stay) {
  const life = lifeOf(tokens);
  mine = { tokens, stay, renewAt: tokens.taken_at + life - Math.min(EARLY_MS, life / 4) };
}

export function forgetTokens() {
  mine = null;
}

/** The token that calls are made with, however old it is, or null. */
export const heldToken = () => mine?.tokens.token ?? null;

/** The session that calls are made in, or undefined. */
export const sessionId = () => mine?.tokens.session_id;

/**
 * How long a token is good, in milliseconds. It says so itself (RFC 7519, 4.1): the clocks of browser and service
 * may differ by more than that.
 *
 * @param {Tokens} tokens
 */
function lifeOf({ token, expires_at, taken_at }) {
  try {
    const claims = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const { iat, exp } = JSON.parse(fromUtf8(fromBase64(claims.padEnd(Math.ceil(claims.length / 4) * 4, "="))));
    if (exp > iat) return (exp - iat) * 1000;
  } catch {
    // Tokens of another kind are as good as the answer says.
  }
  return Math.max(0, Date.parse(expires_at) - taken_at);
}

/** A token that is good for a while yet, or null where nobody is signed in. */
export async function freshToken() {
  if (mine === null) return null;
  const { token } = mine.tokens;
  if (Date.now() < mine.renewAt) return token;
  try {
    // Where the session has ended the call that takes the old one is refused, and says so.
    return (await tokenAfter(token)) ?? token;
  } catch (error) {
    // The old one may be good still; if it is not, the call that takes it says so.
    if (error instanceof ServiceError) return token;
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
    const body = { refresh_token: tokens.refresh_token };
    const given = await service.call("POST", "/api/token/refresh", body, REFRESHING);
    const next = { ...tokens, ...given, taken_at: Date.now() };
    // Kept before it is used: if this page ends in between, the next one has it.
    if (stay) await changeKept(tokens.session_id, { tokens: next }).catch(() => {});
    if (mine?.tokens.session_id === tokens.session_id) takeTokens(next, stay);
    return next.token;
  } catch (error) {
    if (error instanceof ServiceError && error.code === "invalid_refresh_token") return null;
    throw error;
  }
}
