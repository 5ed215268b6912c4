// Encrypted objects in the bucket, read range by range at presigned addresses. Page and worker both do so.

/**
 * What `GET /api/audio-file/{file_id}/download` tells: an address that is good for a while, and which object it is.
 *
 * @typedef {{ url: string, etag: string, size: number }} StoredObject
 */

/** @typedef {"object_changed" | "object_not_found" | "unreachable" | "refused"} ObjectProblem */

/** An object that cannot be read. */
export class ObjectError extends Error {
  /** @param {ObjectProblem} code */
  constructor(code) {
    super(`the object cannot be read: ${code}`);
    this.name = "ObjectError";
    this.code = code;
  }
}

// How long nothing may arrive before the connection counts as dead, and the pauses before it is tried again.
const SILENCE_MS = 30_000;
const PAUSES_MS = [300, 1_000, 2_500];

/**
 * The object as a source of the library. `renewed` resolves to the same object at a fresh address once the first
 * has expired. Reading rejects with an ObjectError, and with an AbortError once its signal is aborted.
 *
 * @param {StoredObject} object
 * @param {() => Promise<StoredObject>} renewed
 * @returns {import("../library/recordings.js").Source}
 */
export function objectSource(object, renewed) {
  let { url } = object;
  /** @type {Promise<string> | null} */
  let renewing = null;

  async function renew() {
    const fresh = await renewed();
    if (fresh.etag !== object.etag) throw new ObjectError("object_changed");
    url = fresh.url;
    return url;
  }

  /** @type {import("../library/recordings.js").Source["read"]} */
  async function read(start, stop, { signal } = {}) {
    for (let [tried, asked] = [0, false]; ; ) {
      const answer = await range(url, object.etag, start, stop, signal);
      if (answer instanceof Uint8Array) return answer;
      if (answer === "expired" && !asked) {
        asked = true;
        await (renewing ??= renew().finally(() => (renewing = null)));
      } else if (answer === "again" && tried < PAUSES_MS.length) {
        await pause(PAUSES_MS[tried++], signal);
      } else {
        throw new ObjectError(answer === "again" ? "unreachable" : answer === "expired" ? "refused" : answer);
      }
    }
  }
  return { size: object.size, read };
}

/**
 * One request for one range: its bytes, or why there are none.
 *
 * @param {string} url
 * @param {string} etag
 * @param {number} start
 * @param {number} stop
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<Uint8Array | "again" | "expired" | ObjectProblem>}
 */
async function range(url, etag, start, stop, signal) {
  const silence = new AbortController();
  const ends = signal === undefined ? silence.signal : AbortSignal.any([signal, silence.signal]);
  const headers = { Range: `bytes=${start}-${stop - 1}`, "If-Match": etag };
  const watch = watchdog(silence);
  try {
    const answer = await fetch(url, { headers, signal: ends, cache: "no-store", credentials: "omit" });
    const whole = answer.status === 200 && start === 0;
    if (answer.status === 206 || whole) return await exactly(answer, stop - start, watch);
    await answer.body?.cancel();
    return meaning(answer.status);
  } catch (error) {
    signal?.throwIfAborted();
    // Every other failure of fetch is a connection that was not made, was broken, or fell silent.
    return "again";
  } finally {
    watch.end();
  }
}

/** @param {number} status */
function meaning(status) {
  if (status === 412) return "object_changed";
  if (status === 404 || status === 416) return "object_not_found";
  if (status === 401 || status === 403 || status === 400) return "expired";
  return status === 429 || status >= 500 ? "again" : "refused";
}

/** @param {AbortController} silence */
function watchdog(silence) {
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  return {
    heard: () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
    },
    end: () => clearTimeout(timer),
  };
}

/** @param {Response} answer @param {number} size @param {ReturnType<typeof watchdog>} watch */
async function exactly(answer, size, watch) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (answer.body).getReader();
  const whole = new Uint8Array(size);
  let filled = 0;
  while (filled < size) {
    const { done, value } = await reader.read();
    if (done) return "again";
    watch.heard();
    const taken = value.subarray(0, size - filled);
    whole.set(taken, filled);
    filled += taken.length;
  }
  reader.cancel().catch(() => {});
  return whole;
}

/** @param {number} milliseconds @param {AbortSignal | undefined} signal */
function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
