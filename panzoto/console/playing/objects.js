// Encrypted objects in the bucket, read range by range at presigned addresses. Page and worker both do so.

import { ServiceError } from "../library/errors.js";
import { patientBytes } from "../library/service.js";

/**
 * What `GET /api/audio-file/{file_id}/download` tells: an address that is good for a while, and which object it is.
 *
 * @typedef {{ url: string, etag: string, size: number, expires_at: string }} StoredObject
 */

/** @typedef {"object_changed" | "object_not_found" | "unreachable" | "refused" | "expired"} ObjectProblem */

/** An object that cannot be read. */
export class ObjectError extends Error {
  /** @param {ObjectProblem} code */
  constructor(code) {
    super(`the object cannot be read: ${code}`);
    this.name = "ObjectError";
    this.code = code;
  }
}

// Somebody waits for the sound: rather four quick attempts and a word than two minutes of silence.
const PATIENCE = { attempts: 4, firstWait: 0.3, patience: 20 };
// What a new address is trusted for, where the clock of this device goes so wrong that it seems to be over.
const LEAST_MS = 60_000;
// How many new addresses one read may ask for. On a slow device or line one may be over before it is asked at.
const RENEWALS = 4;

/**
 * The object as a source of the library. `renewed` resolves to the same object at a fresh address once one has
 * expired. Reading rejects with an ObjectError, and with its signal's reason once that is aborted.
 *
 * @param {StoredObject} object
 * @param {() => Promise<StoredObject>} renewed
 * @returns {import("../library/recordings.js").Source}
 */
export function objectSource(object, renewed) {
  let { url } = object;
  let good = goodUntil(object);
  /** @type {Promise<void> | null} */
  let renewing = null;

  async function renew() {
    const fresh = await renewed();
    if (fresh.etag !== object.etag) throw new ObjectError("object_changed");
    ({ url } = fresh);
    good = goodUntil(fresh);
  }

  // Several ranges that find the address expired ask for one new one.
  const renewOnce = () => (renewing ??= renew().finally(() => (renewing = null)));

  /** @type {(start: number, stop: number, signal?: AbortSignal) => Promise<Uint8Array>} */
  async function range(start, stop, signal) {
    const headers = { Range: `bytes=${start}-${stop - 1}`, "If-Match": object.etag };
    /** @type {() => RequestInit} */
    const request = () => ({ headers, cache: "no-store", credentials: "omit" });
    return (await patientBytes(url, request, signal ? { ...PATIENCE, signal } : PATIENCE)).bytes;
  }

  return {
    size: object.size,
    async read(start, stop, { signal } = {}) {
      // Not every bucket lets a browser read why it refuses, so the clock counts, too.
      if (Date.now() >= good) await renewOnce();
      for (let renewals = 0; ; renewals++) {
        const asked = url;
        try {
          return await range(start, stop, signal);
        } catch (error) {
          if (!hasExpired(error) || renewals === RENEWALS) throw meaning(error);
        }
        // Another range may have found out before.
        if (url === asked) await renewOnce();
      }
    },
  };
}

/** @param {StoredObject} object */
const goodUntil = ({ expires_at }) => Math.max(Date.parse(expires_at), Date.now() + LEAST_MS);

/** Buckets refuse an address that is over with 403, and some with 400 or 401. @param {unknown} error */
const hasExpired = (error) => error instanceof ServiceError && [400, 401, 403].includes(error.status);

/** @param {unknown} error */
function meaning(error) {
  if (!(error instanceof ServiceError)) return error;
  if (error.status === 412) return new ObjectError("object_changed");
  if (error.status === 404 || error.status === 416) return new ObjectError("object_not_found");
  const passing = error.status === 0 || error.status === 429 || error.status >= 500;
  return new ObjectError(passing ? "unreachable" : "refused");
}
