// How the worker speaks with its pages. It forgets everything when the browser ends it, and pages remember.

import { ObjectError } from "./objects.js";

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (globalThis));
// A page that does not answer within this time is frozen or gone, or has no network.
const ANSWER_MS = 30_000;

/** @typedef {import("./addresses.js").Problem} Problem */

/** @param {unknown} error @returns {Problem} */
export function problemOf(error) {
  const { name = "Error", code = "unexpected", reason } = /** @type {any} */ (error ?? {});
  return { name, code: typeof code === "string" ? code : "unexpected", ...(reason === undefined ? {} : { reason }) };
}

/**
 * Ask the page that made a request, or else every page, for what it alone knows; null where none does. Rejects
 * where none has answered in time.
 *
 * @param {string} clientId empty for a navigation
 * @param {{ type: string, id: string }} question
 * @returns {Promise<any>}
 */
export async function askPages(clientId, question) {
  const one = clientId === "" ? undefined : await worker.clients.get(clientId);
  const all = one ? [one] : await worker.clients.matchAll({ type: "window", includeUncontrolled: true });
  // A frame in which a download begins hears nothing.
  const pages = all.filter((page) => page.frameType === "top-level");
  const answers = pages.map((page) => ask(page, question));
  return Promise.any(answers.map((answer) => answer.then((data) => data ?? Promise.reject()))).catch(async () => {
    await Promise.all(answers);
    return null;
  });
}

/** @param {Client} page @param {{ type: string, id: string }} question */
function ask(page, question) {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new ObjectError("unreachable")), ANSWER_MS);
    port1.onmessage = ({ data }) => {
      clearTimeout(late);
      port1.close();
      resolve(data);
    };
    page.postMessage(question, [port2]);
  });
}

/**
 * Tell the page that made a request of something.
 *
 * @param {string} clientId
 * @param {{ type: string, id: string, problem: Problem }} news
 */
export async function tellPage(clientId, news) {
  (await worker.clients.get(clientId))?.postMessage(news);
}
