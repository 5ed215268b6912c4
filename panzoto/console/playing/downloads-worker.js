// The worker's side of downloads: a navigation is answered with a stream that the browser saves to a file.

import { authorization } from "./addresses.js";
import { endingOf } from "./kinds.js";
import { askPages, problemOf } from "./pages-worker.js";
import { answerFile, plainStream } from "./ranges-worker.js";
import { opened } from "./sounds-worker.js";

/** @typedef {import("./addresses.js").Wanted} Wanted */
/**
 * @typedef {{ body: ReadableStream<Uint8Array>, name: string, kind: string, length?: number }} Prepared
 */

/** @typedef {{ prepared: Prepared, ended: (problem: import("./addresses.js").Problem | null) => void, over: Promise<unknown> }} Waiting */

/** @type {Map<string, Waiting>} */
const waiting = new Map();

/** How to stop each download that goes on. @type {Set<() => void>} */
const goingOn = new Set();

/** Forget what waits, and stop what goes on: nothing is decrypted behind the lock. */
export function forgetDownloads() {
  waiting.clear();
  for (const stop of goingOn) stop();
}

/**
 * Prepare a download, so that what does not open is told before the browser asks for it.
 *
 * @param {string} id
 * @param {Wanted} wanted
 * @param {MessagePort | null} port is told the end of it
 */
export async function prepare(id, wanted, port) {
  /** @type {() => void} */
  let settle = () => {};
  const over = new Promise((resolve) => (settle = () => resolve(undefined)));
  const ended = (/** @type {import("./addresses.js").Problem | null} */ problem) => {
    port?.postMessage(problem === null ? { ended: true } : { problem });
    settle();
  };
  const prepared = "grant" in wanted ? await recordingFile(id, wanted, ended) : await serviceFile(wanted);
  const entry = { prepared, ended, over };
  waiting.set(id, entry);
  return entry;
}

/**
 * Answer the navigation; where nothing is known of it, so that the page stays as it is.
 *
 * @param {FetchEvent} event
 * @param {string} id
 */
export async function answerDownload(event, id) {
  const entry = waiting.get(id) ?? (await preparedAnew(event.clientId, id));
  if (entry === null) return new Response(null, { status: 204 });
  waiting.delete(id);
  event.waitUntil(entry.over);
  const { body, ...file } = entry.prepared;
  return answerFile(watched(body, entry.ended), file);
}

/** The browser has ended the worker between the page's wish and its navigation. @param {string} clientId @param {string} id */
async function preparedAnew(clientId, id) {
  const answer = await askPages(clientId, { type: "download", id });
  return answer?.wanted ? prepare(id, answer.wanted, null).catch(() => null) : null;
}

/**
 * @param {string} id
 * @param {{ stem: string, grant: import("./addresses.js").Grant }} wanted
 * @param {(problem: import("./addresses.js").Problem) => void} ended
 * @returns {Promise<Prepared>}
 */
async function recordingFile(id, { stem, grant }, ended) {
  const renewed = async () => (await askPages("", { type: "download", id }))?.wanted.grant ?? grant;
  const { reader, kind } = await opened(grant, renewed);
  const body = plainStream(reader, 0, reader.length, (error) => ended(problemOf(error)));
  return { body, name: stem + endingOf(kind), kind, length: reader.length };
}

/** @param {{ name: string, path: string, token: string, kind: string }} wanted @returns {Promise<Prepared>} */
async function serviceFile({ name, path, token, kind }) {
  const answer = await fetch(path, { headers: authorization(token), cache: "no-store" }).catch(() => null);
  if (answer === null) throw Object.assign(new Error("no answer"), { name: "ServiceError", code: "unreachable" });
  if (answer.ok && answer.body !== null) return { body: answer.body, name, kind };
  const { code = "unexpected" } = await answer.json().catch(() => ({}));
  throw Object.assign(new Error("refused"), { name: "ServiceError", code, status: answer.status });
}

/**
 * The same stream, of whose end somebody is told. A browser that cancels has told the person itself.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @param {(problem: import("./addresses.js").Problem | null) => void} ended
 * @returns {ReadableStream<Uint8Array>}
 */
function watched(body, ended) {
  const reader = body.getReader();
  let stop = () => {};
  const over = (/** @type {import("./addresses.js").Problem | null} */ problem) => {
    goingOn.delete(stop);
    ended(problem);
  };
  return new ReadableStream(
    {
      start(controller) {
        stop = () => {
          over(null);
          controller.error(new Error("the vault is locked"));
          reader.cancel().catch(() => {});
        };
        goingOn.add(stop);
      },
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!goingOn.has(stop)) return;
          if (!done) return controller.enqueue(value);
          controller.close();
          over(null);
        } catch (error) {
          if (!goingOn.has(stop)) return;
          over(problemOf(error));
          controller.error(error);
        }
      },
      cancel(reason) {
        over(null);
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}
