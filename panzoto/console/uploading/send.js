// Bytes into the bucket: docs/clients.md, sections 5.3 and 5.4. XMLHttpRequest, since only it tells how far it is.

import { ServiceError } from "../library/errors.js";
import { isPassing, patiently } from "../library/service.js";

/** @import {Source} from "../library/recordings.js" */

/**
 * The encrypted recording, and, where it lies on a disk, any stretch of it as a Blob that is read as it is sent.
 *
 * @typedef {Source & { blob?: (start: number, stop: number) => Blob }} SentObject
 * @typedef {{ type: "single", method: string, url: string, headers: Record<string, string> }} Single
 * @typedef {{ type: "multipart", part_size: number, parts: { part_number: number, url: string }[] }} Multipart
 * @typedef {{ signal: AbortSignal, progress: (sent: number) => void }} How `sent` counts from the object's beginning
 */

// A connection that takes nothing for so long is as good as none; then the answer may take its time.
const STALLED_MS = 30_000;
const ANSWER_MS = 60_000;
// Headers that a browser sets itself and refuses to be told.
const OF_THE_BROWSER = ["content-length", "host"];
const TAKEN = [200, 201, 204];
const THERE_ALREADY = 412;
/** Nothing more to be had from this address: it has expired, or the parts were put together or given up meanwhile. */
const ADDRESS_OVER = [400, 403, 404];

/**
 * Send what is missing. Resolves to whether all of it is there: if not, the upload is to be announced again.
 * Rejects with a ServiceError once it is no use to go on for now, or with the signal's reason.
 *
 * @param {Single | Multipart} upload
 * @param {SentObject} object the encrypted recording
 * @param {How} how
 */
export async function send(upload, object, { signal, progress }) {
  if (upload.type === "single") {
    const body = await blobOf(object, 0, object.size);
    return arrived({ ...upload, body }, { signal, progress });
  }
  // What is not listed is there already.
  let before = object.size - upload.parts.reduce((sum, part) => sum + sizeOf(part.part_number), 0);
  progress(before);
  for (const { part_number, url } of upload.parts) {
    const start = (part_number - 1) * upload.part_size;
    const body = await blobOf(object, start, start + sizeOf(part_number));
    const done = before;
    const part = { url, method: "PUT", headers: {}, body };
    if (!(await arrived(part, { signal, progress: (sent) => progress(done + sent) }))) return false;
    before += body.size;
  }
  return true;

  function sizeOf(/** @type {number} */ number) {
    const { part_size } = /** @type {Multipart} */ (upload);
    return Math.min(number * part_size, object.size) - (number - 1) * part_size;
  }
}

/** A stretch of the object as something that a request sends without holding all of it in memory, where that can be. @param {SentObject} object @param {number} start @param {number} stop */
async function blobOf(object, start, stop) {
  if (object.blob) return object.blob(start, stop);
  return new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (await object.read(start, stop))]);
}

/**
 * @typedef {{ url: string, method: string, headers: Record<string, string>, body: Blob }} Request
 * @param {Request} request
 * @param {How} how
 */
async function arrived(request, { signal, progress }) {
  try {
    await patiently(() => put(request, { signal, progress }), { signal, repeatable: isRepeatable });
    return true;
  } catch (error) {
    if (error instanceof ServiceError && ADDRESS_OVER.includes(error.status)) return false;
    throw error;
  }
}

/** @param {ServiceError} failure */
const isRepeatable = (failure) => isPassing(failure) || [409, 500].includes(failure.status);

/** One request. @param {Request} request @param {How} how @returns {Promise<void>} */
function put({ url, method, headers, body }, { signal, progress }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let watch;
    const expect = (/** @type {number} */ milliseconds) => {
      clearTimeout(watch);
      watch = setTimeout(() => request.abort(), milliseconds);
    };
    const settle = (/** @type {() => void} */ outcome) => {
      clearTimeout(watch);
      signal.removeEventListener("abort", give);
      outcome();
    };
    const lost = () => settle(() => reject(new ServiceError(0, "unreachable", "The bucket cannot be reached")));
    const give = () => {
      request.onabort = null;
      request.abort();
      settle(() => reject(signal.reason));
    };
    request.upload.onprogress = ({ loaded }) => {
      progress(Math.min(loaded, body.size));
      expect(STALLED_MS);
    };
    request.upload.onload = () => expect(ANSWER_MS);
    request.onload = () =>
      settle(() => {
        const there = TAKEN.includes(request.status) || request.status === THERE_ALREADY;
        if (there) resolve();
        else reject(new ServiceError(request.status, "bucket", `The bucket answered ${request.status}`));
      });
    request.onerror = lost;
    request.onabort = lost;
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener("abort", give, { once: true });
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) {
      if (!OF_THE_BROWSER.includes(name.toLowerCase())) request.setRequestHeader(name, value);
    }
    progress(0);
    expect(STALLED_MS);
    request.send(body);
  });
}
