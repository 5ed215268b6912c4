// Who is signed in, whether their vault is open, and the calls made in their name.
//
// `out`: nobody; `locked`: tokens and the wrapped vault are here, the key is not; `open`: the key is in memory.

import { forgetAll, STORES } from "../database.js";
import { AccountError, ServiceError } from "../library/errors.js";
import { openVault, vaultFromKey } from "../library/keys.js";
import { Service } from "../library/service.js";
import { createStore } from "../store.js";
import { argon2id } from "./argon2.js";
import { deviceName } from "./device.js";
import { changeKept, forgetKept, keepSession, keptSession } from "./kept.js";
import { noting } from "./reach.js";
import { forgetTokens, freshToken, heldToken, sessionId, takeTokens, tokenAfter } from "./tokens.js";

/** @typedef {import("../library/keys.js").Vault} Vault */
/**
 * @typedef {import("../library/keys.js").Account & {
 *   user: { user_id: string, email: string, created_at: string },
 * }} Account
 */
/**
 * @typedef {{
 *   state: "starting" | "out" | "locked" | "open",
 *   account: Account | null,
 *   stay: boolean,
 *   ended: boolean,
 * }} Session `ended`: the service has ended this session, so its tokens are worth nothing.
 */

/** @type {Session} */
const NOBODY = { state: "out", account: null, stay: false, ended: false };
// What saves before a lock may take so long; then the key is forgotten all the same.
const SAVING_MS = 10_000;
// A form's call is made once: its person sees why it failed, and for how long to wait.
const ONCE = { attempts: 1 };

/** @type {import("../store.js").Store<Session>} */
export const session = createStore(/** @type {Session} */ ({ ...NOBODY, state: "starting" }));

/** @type {Vault | null} */
let opened = null;
/** @type {Promise<void> | null} */
let locking = null;
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
  const asking = sessionId();
  try {
    return await noting(() => service.call(method, path, body, options));
  } catch (error) {
    // An answer to a session that somebody has left or replaced since says nothing of this one.
    if (isOver(error) && asking !== undefined && asking === sessionId()) await lock({ ended: true });
    throw error;
  }
}

/** @param {unknown} error */
const isOver = (error) => error instanceof ServiceError && ["token_invalid", "token_missing"].includes(error.code);

/** A call that needs nobody signed in: a code from a letter, a forgotten password. @returns {Promise<any>} */
export const callOpen = (/** @type {string} */ method, /** @type {string} */ path, /** @type {unknown} */ body) =>
  entrance.call(method, path, body, ONCE);

// ---- Coming in ----------------------------------------------------------------------------------------------

/** Take up where this browser left off, if somebody stays signed in here. */
export async function start() {
  const found = await keptSession().catch(() => null);
  const derived = found === null || found.key === null ? null : await vaultOf(found.key, found.account);
  // While the keys were derived another tab may have locked or left, and nobody listened here yet.
  const now = found === null ? null : await keptSession().catch(() => null);
  if (now === null || now.tokens.session_id !== found?.tokens.session_id) return session.set(NOBODY);
  takeTokens(now.tokens, true);
  opened = now.key === null ? null : derived;
  session.set({ state: opened ? "open" : "locked", account: now.account, stay: true, ended: now.ended });
}

/** @param {CryptoKey} key @param {Account} of */
const vaultOf = (key, of) => vaultFromKey(key, of.vault?.transcripts_public_key);

/**
 * Make an account and sign in. Where there is one it may be this person's own, made by an attempt whose answer was
 * lost: then the password is right. Rejects as the service's calls do, and with AccountError.
 */
export async function register(
  /** @type {string} */ email,
  /** @type {string} */ password,
  /** @type {boolean} */ stay,
) {
  try {
    await enter("/api/register", { email, password, device_name: deviceName() }, password, stay);
  } catch (taken) {
    // Everywhere else the field of this name is a password that somebody has.
    if (isPasswordRefused(taken)) throw retold(taken, { fields: { new_password: taken.fields?.password } });
    if (!(taken instanceof ServiceError) || taken.code !== "user_exists") throw taken;
    await signIn(email, password, stay).catch((refused) => {
      throw refused.code === "invalid_credentials" ? taken : refused;
    });
  }
}

/** Sign in. One that is too short to be anybody's password is as wrong as any other. Rejects as calls do. */
export async function signIn(
  /** @type {string} */ email,
  /** @type {string} */ password,
  /** @type {boolean} */ stay,
) {
  try {
    await enter("/api/login", { email, password, device_name: deviceName() }, password, stay);
  } catch (refused) {
    throw isPasswordRefused(refused) ? retold(refused, { code: "invalid_credentials" }) : refused;
  }
}

/** Whether the service does not take the field `password`. @param {any} error @returns {error is ServiceError} */
const isPasswordRefused = (error) =>
  error instanceof ServiceError && error.code === "invalid_request" && "password" in (error.fields ?? {});

/** The same answer in other words. @param {ServiceError} error @param {Partial<ServiceError>} other */
const retold = (error, { code = error.code, fields = error.fields }) =>
  new ServiceError(error.status, code, error.message, { ...error, fields });

/** Get in with the recovery key and set a new password. */
export const recover = (
  /** @type {{ email: string, recovery_key: string, new_password: string }} */ wanted,
  /** @type {boolean} */ stay,
) => enter("/api/recover", { ...wanted, device_name: deviceName() }, wanted.new_password, stay);

/** @param {string} path @param {Record<string, unknown>} body @param {string} password @param {boolean} stay */
async function enter(path, body, password, stay) {
  const given = await entrance.call("POST", path, body, ONCE);
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
  const { token, refresh_token, expires_at, session_id, ...rest } = given;
  const made = await openVault(rest, password, argon2id);
  const tokens = { token, refresh_token, expires_at, session_id, user_id: rest.user_id, taken_at: Date.now() };
  // A browser that keeps nothing, as in a private window, signs in all the same, for this tab.
  const stays = stay && (await isKept({ tokens, key: made.key, account: rest, ended: false }));
  if (!stays) await forgetKept(session_id).catch(() => {});
  opened = made;
  takeTokens(tokens, stays);
  session.set({ state: "open", account: rest, stay: stays, ended: false });
  if (stays) post("opened");
}

/** @param {import("./kept.js").Kept} kept */
const isKept = (kept) => keepSession(kept).then(() => true, () => false);

/**
 * Open the vault of the locked page, without a call. Where its session has ended it signs in anew; where the
 * password was changed elsewhere it opens with the new one. Rejects with AccountError, and as calls do.
 */
export async function unlock(/** @type {string} */ password) {
  const { account: locked, stay, ended } = session.get();
  if (locked === null) throw new Error("Nobody is signed in");
  if (ended || !locked.vault) return signIn(locked.user.email, password, stay);
  try {
    await openWith(locked, password);
  } catch (error) {
    if (!(error instanceof AccountError) || error.reason !== "password" || password === "") throw error;
    const now = await accountNow(locked);
    if (now === null) return signIn(locked.user.email, password, stay);
    if (now.vault?.kdf.salt === locked.vault.kdf.salt) throw error;
    await openWith(now, password);
  }
}

/** @param {Account} locked @param {string} password */
async function openWith(locked, password) {
  opened = await openVault(locked, password, argon2id);
  await changeKept(sessionId(), { key: opened.key, account: locked }).catch(() => {});
  session.set({ state: "open", account: locked });
  if (session.get().stay) post("opened");
}

/** The account with the vault that the service has now; null where the session has ended. @param {Account} known */
async function accountNow(known) {
  try {
    const { vault: now } = await service.call("GET", "/api/user", undefined, ONCE);
    return { ...known, vault: now };
  } catch (error) {
    if (isOver(error)) return null;
    // Nothing is to be learnt now, so the password is judged by what is known.
    return known;
  }
}

/**
 * Change the password; this session goes on and every other ends. Where the answer is lost, signing in with the
 * new password tells whether it was done. Rejects as calls do.
 */
export async function changePassword(/** @type {string} */ password, /** @type {string} */ next) {
  const body = { password, new_password: next };
  try {
    await takeAccount(await call("POST", "/api/user/password", body, ONCE), next);
  } catch (error) {
    if (!(error instanceof ServiceError) || !["unreachable", "unreadable", "unknown"].includes(error.code)) throw error;
    await signIn(account().user.email, next, session.get().stay).catch(() => {
      throw error;
    });
  }
}

/** The account has another address, as the service told. */
export async function noteEmail(/** @type {string} */ email) {
  const before = account();
  if (before.user.email === email) return;
  const now = { ...before, user: { ...before.user, email } };
  session.set({ account: now });
  await changeKept(sessionId(), { account: now }).catch(() => {});
}

// ---- Locking and leaving ------------------------------------------------------------------------------------

/**
 * Forget the key here, in the browser's database, in the worker and in every other tab.
 *
 * @param {{ ended?: boolean, told?: boolean }} [why] `ended`: the service has ended the session; `told`: another
 *   tab said so
 * @returns {Promise<void>}
 */
export function lock(why = {}) {
  locking ??= lockNow(why).finally(() => {
    locking = null;
  });
  return locking;
}

/** @param {{ ended?: boolean, told?: boolean }} why */
async function lockNow({ ended = false, told = false }) {
  const { state } = session.get();
  if (state !== "open" && !(state === "locked" && ended)) return;
  // First where it would outlive this page, and where others have it.
  await changeKept(sessionId(), ended ? { key: null, ended } : { key: null }).catch(() => {});
  if (!told) post(ended ? "ended" : "lock");
  if (state === "open") await saved();
  opened = null;
  session.set({ state: "locked", ended: ended || session.get().ended });
  navigator.serviceWorker?.controller?.postMessage({ type: "forget" });
}

/** Resolves when all that saves before a lock has done so, or has taken too long. Nothing keeps a key from being forgotten. */
function saved() {
  const works = [...beforeLocking].map(async (work) => work());
  const late = new Promise((resolve) => setTimeout(resolve, SAVING_MS));
  return Promise.race([Promise.allSettled(works), late]);
}

/** End the session here and at the service, and forget all of it. */
export async function signOut() {
  await lock();
  await service.call("POST", "/api/logout", undefined, ONCE).catch(() => {});
  post("out");
  await leave();
}

/** Delete the account, and all that this browser keeps of it. Rejects as calls do. */
export async function deleteAccount(/** @type {string} */ password) {
  const { user_id } = account();
  await call("DELETE", "/api/user", { password }, ONCE);
  post("out");
  const kept = STORES.filter((store) => store !== "session");
  await Promise.all(kept.map((store) => forgetAll(store, user_id))).catch(() => {});
  await leave();
}

async function leave() {
  const left = sessionId();
  const { account: mine } = session.get();
  opened = null;
  forgetTokens();
  await forgetKept(left).catch(() => {});
  navigator.serviceWorker?.controller?.postMessage({ type: "forget" });
  // No transcript is left behind, not even sealed; what writes them has ended with the lock.
  if (mine !== null) await forgetAll("transcripts", `${mine.user_id}/`).catch(() => {});
  session.set(NOBODY);
}

/**
 * A page that does not stay signed in takes its tokens along when it goes, and nobody could go on with the session:
 * it is ended. One that the browser keeps for going back to has not gone.
 *
 * @param {PageTransitionEvent} event
 */
function endWithPage({ persisted }) {
  const { stay, ended } = session.get();
  const token = heldToken();
  if (persisted || stay || ended || token === null) return;
  // Where there is a worker a page's last request goes through it, and may be lost with the page: so the worker asks.
  const worker = navigator.serviceWorker?.controller;
  if (worker) return worker.postMessage({ type: "leave", token });
  const headers = { Authorization: `Bearer ${token}` };
  fetch("/api/logout", { method: "POST", headers, keepalive: true }).catch(() => {});
}

addEventListener("pagehide", endWithPage);

// ---- Other tabs ---------------------------------------------------------------------------------------------

/** @param {"lock" | "ended" | "out" | "opened"} type */
function post(type) {
  channel.postMessage({ type, user_id: session.get().account?.user_id, session_id: sessionId() });
}

channel.addEventListener("message", async ({ data }) => {
  const { account: mine, state } = session.get();
  if (mine === null || data.user_id !== mine.user_id) return;
  const same = data.session_id === sessionId();
  if (data.type === "opened") {
    // One that was ended goes on as the one that was begun in its place.
    if ((same || session.get().ended) && session.get().stay) await takeUp(state === "locked");
    return;
  }
  // Who locks one page means all of theirs; what was ended is one session.
  if (data.type === "ended" && !same) return;
  await lock({ told: true, ended: data.type === "ended" });
  if (data.type === "out" && same) await leave();
});

/** Take what another tab has kept of this session: a new password's vault, and the key where this page is to open. */
async function takeUp(/** @type {boolean} */ open) {
  const found = await keptSession().catch(() => null);
  if (found === null || found.tokens.user_id !== session.get().account?.user_id) return;
  takeTokens(found.tokens, true);
  if (open && found.key !== null) opened = await vaultOf(found.key, found.account);
  session.set({ account: found.account, ended: found.ended, state: opened ? "open" : "locked" });
}
