// The calls, repeated where that is safe: docs/clients.md, section 1.1.

import { fromBase64, toBase64 } from "./bytes.js";
import { ServiceError } from "./errors.js";
import { HEADER_SIZE } from "./header.js";
import { fileKeyOf } from "./recordings.js";

/** @import {Bytes} from "./bytes.js" */
/** @import {Vault} from "./keys.js" */

/**
 * @typedef {object} Patience
 * @property {number} [attempts] how often to try in all, 6 unless told otherwise
 * @property {AbortSignal} [signal] ends trying and waiting; what is thrown then is the signal's reason
 * @property {number} [firstWait] seconds before the second attempt, 0.5 unless told otherwise; they double
 * @property {number} [patience] seconds to wait for an answer to begin, and for each next piece of it: 60
 *   unless told otherwise. Infinity for a body that may take longer to send
 * @property {(failure: ServiceError) => boolean} [repeatable] whether to try again after this
 * @property {(seconds: number, signal?: AbortSignal) => Promise<void>} [wait] how to wait before trying again
 */

/**
 * @typedef {object} CallOptions
 * @property {AbortSignal} [signal]
 * @property {number} [attempts]
 * @property {Record<string, string>} [headers] beside those that every call has
 * @property {number} [firstWait]
 * @property {number} [patience]
 * @property {(seconds: number, signal?: AbortSignal) => Promise<void>} [wait]
 */

const ATTEMPTS = 6;
const FIRST_WAIT = 0.5;
const LONGEST_WAIT = 120;
const PATIENCE = 60;

// Calls that send a letter, or prove by what they change: who lost the answer to one asks a person, or the
// service.
const NOT_REPEATED = [
  "/api/password/forgot",
  "/api/password/reset",
  "/api/user/email",
  "/api/user/password",
  "/api/user/verify-email",
];

// ---- Patience ---------------------------------------------------------------------------------------------

/**
 * Whether nothing was decided about a request, or its answer was lost, so that it may be sent again. An
 * engine that there is not will not come by asking.
 *
 * @param {ServiceError} failure
 */
export function isPassing(failure) {
  if (failure.code === "transcription_unavailable") return false;
  return isLost(failure) || failure.status === 429 || failure.status === 503;
}

/**
 * Whether the request may have been carried out all the same.
 *
 * @param {ServiceError} failure
 */
function isLost({ code, status }) {
  return code === "unreachable" || code === "unreadable" || status === 502 || status === 504;
}

/**
 * Try until it succeeds: after what is repeatable wait as the answer says, else half a second, 1, 2, 4 …,
 * each with up to a quarter more at random. Where the answer asks for more than two minutes the failure is
 * thrown at once, with its `retryAfter`, for a person to see.
 *
 * @template T
 * @param {() => Promise<T>} attempt rejects with a ServiceError for what may be repeated
 * @param {Patience} [options]
 * @returns {Promise<T>}
 */
export async function patiently(attempt, options = {}) {
  const { attempts = ATTEMPTS, firstWait = FIRST_WAIT, signal } = options;
  const { repeatable = isPassing, wait = waited } = options;
  for (let number = 1; ; number++) {
    signal?.throwIfAborted();
    try {
      return await attempt();
    } catch (failure) {
      signal?.throwIfAborted();
      if (!(failure instanceof ServiceError) || !repeatable(failure) || number >= attempts) throw failure;
      if (failure.retryAfter !== null && failure.retryAfter > LONGEST_WAIT) throw failure;
      const seconds = failure.retryAfter ?? Math.min(firstWait * 2 ** (number - 1), LONGEST_WAIT);
      await wait(seconds * (1 + Math.random() / 4), signal);
    }
  }
}

/**
 * @param {number} seconds
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
function waited(seconds, signal) {
  return new Promise((resolve, reject) => {
    const ended = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", ended);
      resolve();
    }, seconds * 1000);
    signal?.addEventListener("abort", ended, { once: true });
  });
}

/** Ends a request that gives no sign of life for too long, or that the caller has given up. */
class Watch {
  #silent = new AbortController();
  #seconds;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {number} seconds
   * @param {AbortSignal} [given]
   */
  constructor(seconds, given) {
    this.#seconds = seconds;
    this.signal = given ? AbortSignal.any([given, this.#silent.signal]) : this.#silent.signal;
    this.begin();
  }

  /** Wait for the next sign, from now on. */
  begin() {
    this.end();
    if (this.#seconds === Infinity) return;
    this.#timer = setTimeout(() => this.#silent.abort(), this.#seconds * 1000);
  }

  end() {
    clearTimeout(this.#timer);
  }
}

/**
 * One request; resolves to an answer of success. Rejects with a ServiceError, or with the signal's reason.
 *
 * @param {string} url
 * @param {RequestInit} options
 * @param {Watch} watch
 */
async function fetched(url, options, watch) {
  let response;
  try {
    const careful = /** @type {RequestInit} */ ({ redirect: "error", referrerPolicy: "no-referrer" });
    response = await fetch(url, { ...careful, ...options, signal: watch.signal });
  } catch (cause) {
    throw new ServiceError(0, "unreachable", "The service cannot be reached", { cause });
  }
  if (response.ok) return response;
  throw await serviceError(response, watch);
}

/**
 * All bytes of an answer. One that breaks off, or stays silent for too long, is as good as none.
 *
 * @param {Response} response
 * @param {Watch} watch
 * @returns {Promise<Bytes>}
 */
async function bodyOf(response, watch) {
  const pieces = [];
  const reader = response.body?.getReader();
  try {
    for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) {
      watch.begin();
      pieces.push(read.value);
    }
  } catch (cause) {
    throw new ServiceError(0, "unreachable", "The answer broke off", { cause });
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

/**
 * @param {Response} response
 * @param {Watch} watch
 */
async function serviceError(response, watch) {
  const { status, headers } = response;
  const told = headers.get("Retry-After") ?? "";
  const retryAfter = /^\d+$/.test(told) ? Number(told) : null;
  let body = null;
  try {
    body = asObject(JSON.parse(new TextDecoder().decode(await bodyOf(response, watch))));
  } catch {
    // A proxy's page, or the bucket's XML: the status alone tells.
  }
  const requestId = body?.request_id ?? headers.get("X-Request-ID");
  const message = body?.error ?? `The answer was ${status}`;
  const details = { retryAfter, requestId, fields: asObject(body?.fields), body };
  return new ServiceError(status, body?.code ?? "unknown", message, details);
}

/**
 * @param {unknown} value
 * @returns {Record<string, any> | null}
 */
function asObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : null;
}

/**
 * `fetch`, repeated where that is safe. `makeOptions` is asked anew each time. Resolves to an answer of
 * success, whose body the caller reads; rejects with a ServiceError.
 *
 * @param {string} url
 * @param {() => RequestInit} [makeOptions]
 * @param {Patience} [options]
 */
export function patientFetch(url, makeOptions = () => ({}), options = {}) {
  return patiently(async () => {
    const watch = new Watch(options.patience ?? PATIENCE, options.signal);
    try {
      return await fetched(url, makeOptions(), watch);
    } finally {
      watch.end();
    }
  }, options);
}

/**
 * The same, with the whole of the body: one that breaks off is asked for again.
 *
 * @param {string} url
 * @param {() => RequestInit} [makeOptions]
 * @param {Patience} [options]
 * @returns {Promise<{ response: Response, bytes: Bytes }>}
 */
export function patientBytes(url, makeOptions = () => ({}), options = {}) {
  return patiently(async () => {
    const watch = new Watch(options.patience ?? PATIENCE, options.signal);
    try {
      const response = await fetched(url, makeOptions(), watch);
      return { response, bytes: await bodyOf(response, watch) };
    } finally {
      watch.end();
    }
  }, options);
}

// ---- The service ------------------------------------------------------------------------------------------

/**
 * Where tokens come from.
 *
 * @typedef {object} Tokens
 * @property {() => Promise<string | null>} [token] the one to send, or null for calls without
 * @property {(usedToken: string) => Promise<string | null>} [refused] a fresh one in place of one that the
 *   service refused, or null where the session is over; the call is then made once more, or fails
 */

/** One service, and how its calls are authorized. */
export class Service {
  #address;
  #token;
  #refused;

  /**
   * @param {string} address such as `https://panzoto.example`; empty for the origin of the page
   * @param {Tokens} [tokens]
   */
  constructor(address, { token = async () => null, refused = async () => null } = {}) {
    this.#address = address.replace(/\/+$/, "");
    this.#token = token;
    this.#refused = refused;
  }

  /**
   * One call, repeated where that is safe and with a fresh token where the service refuses the old one.
   *
   * Rejects with a ServiceError. Calls that send a letter, change a password or reset one are not repeated
   * when their answer was lost: it is `unreachable`, `unreadable`, 502 or 504 then.
   *
   * @param {string} method
   * @param {string} path with its query, from `/api/` on
   * @param {unknown} [body] sent as JSON unless it is undefined
   * @param {CallOptions} [options]
   * @returns {Promise<any>} the answer's JSON; null where it has none (204)
   */
  async call(method, path, body, options = {}) {
    const token = await this.#token();
    try {
      return await this.#ask(method, path, body, token, options);
    } catch (failure) {
      const fresh = token !== null && isTokenRefused(failure) ? await this.#refused(token) : null;
      if (fresh === null) throw failure;
      return this.#ask(method, path, body, fresh, options);
    }
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} body
   * @param {string | null} token
   * @param {CallOptions} options
   */
  async #ask(method, path, body, token, { headers, ...options }) {
    /** @type {Record<string, string>} */
    const all = { Accept: "application/json", ...headers };
    if (token !== null) all.Authorization = `Bearer ${token}`;
    if (body !== undefined) all["Content-Type"] = "application/json";
    const request = { method, headers: all, body: body === undefined ? null : JSON.stringify(body) };
    const once = method === "POST" && NOT_REPEATED.includes(path);
    return patiently(
      async () => {
        const watch = new Watch(options.patience ?? PATIENCE, options.signal);
        try {
          return parsed(await bodyOf(await fetched(this.#address + path, request, watch), watch));
        } finally {
          watch.end();
        }
      },
      { ...options, repeatable: (failure) => isPassing(failure) && !(once && isLost(failure)) },
    );
  }

  /**
   * Make an account (section 1.2). A repeated register may find the account its own first attempt made, so
   * 409 asks login, which answers 401 when the account is in truth somebody else's.
   *
   * @param {string} email
   * @param {string} password
   * @param {string} [deviceName]
   */
  async register(email, password, deviceName) {
    try {
      return await this.call("POST", "/api/register", { email, password, device_name: deviceName });
    } catch (taken) {
      if (!(taken instanceof ServiceError) || taken.status !== 409) throw taken;
      return this.login(email, password, deviceName).catch((error) => {
        throw error.status === 401 ? taken : error;
      });
    }
  }

  /**
   * @param {string} email
   * @param {string} password
   * @param {string} [deviceName]
   */
  login(email, password, deviceName) {
    return this.call("POST", "/api/login", { email, password, device_name: deviceName });
  }

  /**
   * Tell the service that an object is in the bucket; safe to repeat (section 5.6).
   *
   * @param {string} s3Key
   * @param {number} size
   * @param {string} [contentType]
   */
  async recordUpload(s3Key, size, contentType) {
    const body = { s3_key: s3Key, file_size: size, content_type: contentType };
    return (await this.call("POST", "/api/audio-file", body)).audio_file;
  }

  /**
   * Ask for a playback address (section 6).
   *
   * @param {string} password
   * @param {{ file_id: string } | { s3_key: string }} which
   */
  decryptAudio(password, which) {
    return this.call("POST", "/api/decrypt-audio", { password, ...which });
  }

  /**
   * The same without the password, by the recording's own key (section 6.2).
   *
   * @param {Bytes} fileKey
   * @param {{ file_id: string } | { s3_key: string }} which
   */
  decryptAudioByKey(fileKey, which) {
    return this.call("POST", "/api/decrypt-audio", { file_key: toBase64(fileKey), ...which });
  }

  /**
   * Where the encrypted object can be fetched for a while: `{url, expires_at, etag, size}` (section 5.7).
   *
   * @param {string} fileId
   * @param {CallOptions} [options]
   */
  download(fileId, options) {
    return this.call("GET", `/api/audio-file/${fileId}/download`, undefined, options);
  }

  /**
   * Fetch a recording's header from the bucket and open it (sections 3.4 and 6.2).
   *
   * @param {Vault} vault
   * @param {string} fileId
   */
  async fileKey(vault, fileId) {
    const { url } = await this.download(fileId);
    const headers = { Range: `bytes=0-${HEADER_SIZE - 1}` };
    const { bytes } = await patientBytes(url, () => ({ headers }));
    return fileKeyOf(vault, { size: bytes.length, read: async (start, stop) => bytes.subarray(start, stop) });
  }

  /**
   * Keep a sealed transcript; with a `revision` only over that one (section 6.5).
   *
   * @param {string} fileId
   * @param {Uint8Array} sealed
   * @param {string | null} [revision]
   */
  putTranscript(fileId, sealed, revision = null) {
    const body = { sealed: toBase64(sealed), revision };
    return this.call("PUT", `/api/audio-file/${fileId}/transcript`, body);
  }

  /**
   * Fetch a transcript as it is sealed (section 6.5).
   *
   * @param {string} fileId
   * @returns {Promise<Bytes>}
   */
  async getTranscript(fileId) {
    return fromBase64((await this.call("GET", `/api/audio-file/${fileId}/transcript`)).sealed);
  }
}

/** @param {unknown} failure */
function isTokenRefused(failure) {
  return failure instanceof ServiceError && ["token_missing", "token_invalid"].includes(failure.code);
}

/** @param {Bytes} bytes the body of an answer of success */
function parsed(bytes) {
  if (bytes.length === 0) return null;
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new ServiceError(0, "unreadable", "The answer cannot be read", { cause });
  }
}
