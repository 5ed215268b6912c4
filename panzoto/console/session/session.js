// Who is signed in, whether their vault is open, and the calls made in their name.
//
// `out`: nobody; `locked`: tokens and the wrapped vault are here, the key is not; `open`: the key is in memory.

import { openVault, vaultFromKey } from "../library/keys.js";
import { ServiceError } from "../library/errors.js";
import { Service } from "../library/service.js";
import { createStore } from "../store.js";
import { argon2id } from "./argon2.js";
import { forgetSession, keepSession, keptSession } from "./kept.js";
import { deviceName } from "./device.js";
import { forgetTokens, freshToken, takeTokens, tokenAfter } from "./tokens.js";

/** @typedef {import("../library/keys.js").Vault} Vault */
/** @typedef {import("../library/keys.js").Account} Account */
/**
 * @typedef {{
 *   state: "starting" | "out" | "locked" | "open",
 *   account: Account | null,
 *   stay: boolean,
 *   ended: boolean,
 * }} Session `ended`: the service has ended this session, so its tokens are worth nothing.
 */

/** @type {import("../store.js").Store<Session>} */
export const session = createStore(
  /** @type {Session} */ ({ state: "starting", account: null, stay: false, ended: false }),
);

/** @type {Vault | null} */
let opened = null;
const channel = new BroadcastChannel("panzoto-session");
/** @type {Set<() => void | Promise<void>>} */
const beforeLocking = new Set();

const entrance = new Service(location.origin);
const service = new Service(location.origin, { token: freshToken, refused: tokenAfter });

/** The vault of who is signed in. Throws where it is locked. @returns {Vault} */
export function vault() {
  if (opened === null) throw new Error("The vault is locked");
  return opened;
}

/** The account of who is signed in. @returns {Account} */
export function account() {
  const { account: found } = session.get();
  if (found === null) throw new Error("Nobody is signed in");
  return found;
}

/** Have `work` done before the key is forgotten: saving what is being recorded or typed. Returns how to stop that. */
export function beforeLock(/** @type {() => void | Promise<void>} */ work) {
  beforeLocking.add(work);
  return () => beforeLocking.delete(work);
}

/**
 * Call the service in the name of who is signed in; a session that was ended locks the page.
 *
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {import("../library/service.js").CallOptions} [options]
 * @returns {Promise<any>}
 */
export async function call(method, path, body, options) {
  try {
    return await service.call(method, path, body, options);
  } catch (error) {
    if (error instanceof ServiceError && ["token_invalid", "token_missing"].includes(error.code)) {
      await lock({ ended: true });
    }
    throw error;
  }
}

/** A call that needs nobody signed in: a code from a letter, a forgotten password. @returns {Promise<any>} */
export const callOpen = (/** @type {string} */ method, /** @type {string} */ path, /** @type {unknown} */ body) =>
  entrance.call(method, path, body);

/** Take up where this browser left off, if somebody stays signed in here. */
export async function start() {
  const found = await keptSession().catch(() => null);
  if (found === null) return session.set({ state: "out" });
  takeTokens(found.tokens, true);
  opened = found.key === null ? null : await vaultFromKey(found.key, found.account.vault?.transcripts_public_key);
  session.set({ state: opened ? "open" : "locked", account: found.account, stay: true, ended: false });
}

/** Make an account and sign in. Rejects as the service's calls do, and with AccountError. */
export const register = (/** @type {string} */ email, /** @type {string} */ password, /** @type {boolean} */ stay) =>
  enter("/api/register", { email, password, device_name: deviceName() }, password, stay);

export const signIn = (/** @type {string} */ email, /** @type {string} */ password, /** @type {boolean} */ stay) =>
  enter("/api/login", { email, password, device_name: deviceName() }, password, stay);

/** Get in with the recovery key and set a new password. */
export const recover = (
  /** @type {{ email: string, recovery_key: string, new_password: string }} */ wanted,
  /** @type {boolean} */ stay,
) => enter("/api/recover", wanted, wanted.new_password, stay);

/** Sign in by a code from a letter that sets a new password. @param {Record<string, unknown>} wanted */
export const resetPassword = (wanted, /** @type {boolean} */ stay) =>
  enter("/api/password/reset", wanted, /** @type {string} */ (wanted.new_password), stay);

/** @param {string} path @param {Record<string, unknown>} body @param {string} password @param {boolean} stay */
async function enter(path, body, password, stay) {
  const given = await entrance.call("POST", path, body);
  await takeAccount(given, password, stay);
}

/**
 * Take an account as register, login, or a change of password returned it, and open its vault.
 *
 * @param {any} given
 * @param {string} password
 * @param {boolean} [stay]
 */
export async function takeAccount(given, password, stay = session.get().stay) {
  const { token, refresh_token, expires_at, ...rest } = given;
  const tokens = { token, refresh_token, expires_at, session_id: given.session_id, user_id: given.user_id };
  const made = await openVault(rest, password, argon2id);
  opened = made;
  takeTokens(tokens, stay);
  if (stay) await keepSession({ tokens, key: made.key, account: rest });
  session.set({ state: "open", account: rest, stay, ended: false });
}

/** Open the vault of the locked page, without a call; where its session has ended, sign in anew. Rejects with AccountError. */
export async function unlock(/** @type {string} */ password) {
  const { account: locked, stay, ended } = session.get();
  if (locked === null) throw new Error("Nobody is signed in");
  if (ended || !locked.vault) return signIn(locked.user.email, password, stay);
  const made = await openVault(locked, password, argon2id);
  opened = made;
  if (stay) await keepSession({ key: made.key });
  session.set({ state: "open" });
}

/** Forget the key here, in the browser's database, in the worker and in every other tab. */
export async function lock({ ended = false, told = false } = {}) {
  const { state } = session.get();
  if (state === "open") {
    for (const work of [...beforeLocking]) {
      // Nothing that saves may keep the key from being forgotten.
      await Promise.resolve(work()).catch((error) => console.error(error.name));
    }
    opened = null;
    await keepSession({ key: null }).catch(() => {});
    session.set({ state: "locked", ended });
    navigator.serviceWorker?.controller?.postMessage({ type: "forget" });
  } else if (ended && state === "locked") {
    session.set({ ended });
  }
  if (!told && !ended) channel.postMessage({ type: "lock", user_id: session.get().account?.user_id });
}

/** End the session here and at the service, and forget all of it. */
export async function signOut() {
  const user_id = session.get().account?.user_id;
  await lock();
  await service.call("POST", "/api/logout", undefined, { attempts: 1 }).catch(() => {});
  await leave();
  channel.postMessage({ type: "out", user_id });
}

async function leave() {
  forgetTokens();
  await forgetSession().catch(() => {});
  session.set({ state: "out", account: null, stay: false, ended: false });
}

channel.addEventListener("message", async ({ data }) => {
  const mine = session.get().account?.user_id;
  if (mine === undefined || data.user_id !== mine) return;
  await lock({ told: true });
  if (data.type === "out") await leave();
});
