// The page's side of the service worker: whether there is one, and how to speak with it.

import { SERVICE_WORKER, scriptAddress } from "../trusted.js";

// A worker that neither starts nor claims the page in this time counts as none.
const START_MS = 10_000;
const CLAIM_MS = 500;
const ANSWER_MS = 60_000;

/** @typedef {import("./addresses.js").Problem} Problem */

/** The worker has refused, for a reason of the library's, the service's or the bucket's. */
export class WorkerError extends Error {
  /** @param {Problem} problem */
  constructor({ name, code, reason }) {
    super(`the worker has failed: ${code}`);
    this.name = "WorkerError";
    this.of = name;
    this.code = code;
    this.reason = reason;
  }
}

/** @type {Promise<boolean> | null} */
let registered = null;

/** Register the worker; resolves to whether this browser lets us. Private windows of Firefox do not. */
export function registerWorker() {
  registered ??= register();
  return registered;
}

async function register() {
  if (!("serviceWorker" in navigator)) return false;
  try {
    await navigator.serviceWorker.register(scriptAddress(SERVICE_WORKER), { type: "module" });
    return true;
  } catch {
    return false;
  }
}

/**
 * The worker that answers this page's requests, or null where there is none to be had. A page that was loaded
 * past it is claimed first: nothing is played until then.
 *
 * @returns {Promise<ServiceWorker | null>}
 */
export async function controller() {
  if (!(await registerWorker())) return null;
  if (navigator.serviceWorker.controller !== null) return navigator.serviceWorker.controller;
  const claimed = new Promise((resolve) => {
    navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true });
  });
  const { active } = await Promise.race([navigator.serviceWorker.ready, later(START_MS).then(() => ({ active: null }))]);
  // A page that is not whole yet may be passed over, so it is asked for more than once.
  for (let waited = 0; active !== null && waited < START_MS; waited += CLAIM_MS) {
    active.postMessage({ type: "claim" });
    await Promise.race([claimed, later(CLAIM_MS)]);
    if (navigator.serviceWorker.controller !== null) break;
  }
  return navigator.serviceWorker.controller;
}

/** @param {number} milliseconds */
const later = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/**
 * Ask the worker; resolves to its answer, and rejects with a WorkerError.
 *
 * @param {ServiceWorker} worker
 * @param {{ type: string, id: string, [more: string]: unknown }} message
 * @param {(news: { ended?: true, problem?: Problem }) => void} [heard] is told what comes after the answer
 * @returns {Promise<any>}
 */
export function askWorker(worker, message, heard) {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve, reject) => {
    const silent = () => reject(new WorkerError({ name: "WorkerError", code: "unreachable" }));
    const late = setTimeout(silent, ANSWER_MS);
    let answered = false;
    port1.onmessage = ({ data }) => {
      clearTimeout(late);
      if (answered) return heard?.(data);
      answered = true;
      if (data.problem) reject(new WorkerError(data.problem));
      else resolve(data.done);
      if (data.problem || heard === undefined) port1.close();
    };
    worker.postMessage(message, [port2]);
  });
}

/** Say something to the worker that wants no answer. @param {{ type: string, id?: string }} message */
export function tellWorker(message) {
  navigator.serviceWorker?.controller?.postMessage(message);
}

const hearing = /** @type {Record<string, (news: any) => void>} */ ({});
/** What answers the worker's questions, by their type: null for what is not known here. */
const answering = /** @type {Record<string, (id: string) => Promise<unknown> | null>} */ ({});

/** Answer the worker where it asks for `type`. @param {string} type @param {(id: string) => Promise<unknown> | null} answer */
export function answerWorker(type, answer) {
  answering[type] = answer;
}

/** Listen to the worker's news of `type`. @param {string} type @param {(news: any) => void} heard */
export function hearWorker(type, heard) {
  hearing[type] = heard;
}

navigator.serviceWorker?.addEventListener("message", async ({ data, ports: [port] }) => {
  hearing[data.type]?.(data);
  const answer = (await answering[data.type]?.(data.id)) ?? null;
  port?.postMessage(answer);
});
