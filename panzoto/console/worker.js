// The service worker: what `<audio>` plays and downloads save is decrypted here. It keeps no page and no code.

import { DOWNLOAD, SOUND } from "/console/{{release}}/playing/addresses.js";
import { answerDownload, forgetDownloads, prepare } from "/console/{{release}}/playing/downloads-worker.js";
import { problemOf } from "/console/{{release}}/playing/pages-worker.js";
import {
  answerSound,
  forgetSound,
  forgetSounds,
  openGranted,
  problemWith,
} from "/console/{{release}}/playing/sounds-worker.js";

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (globalThis));

worker.addEventListener("install", () => worker.skipWaiting());
worker.addEventListener("activate", (event) => event.waitUntil(worker.clients.claim()));

worker.addEventListener("fetch", (event) => {
  const { origin, pathname } = new URL(event.request.url);
  if (origin !== location.origin || !["GET", "HEAD"].includes(event.request.method)) return;
  if (pathname.startsWith(SOUND)) event.respondWith(answerSound(event, pathname.slice(SOUND.length)));
  if (pathname.startsWith(DOWNLOAD)) event.respondWith(answerDownload(event, pathname.slice(DOWNLOAD.length)));
});

/** What pages say to the worker. Each `id` is the random part of an address. */
const HEARD = /** @type {Record<string, (data: any, port: MessagePort | null) => unknown>} */ ({
  // A page that was loaded past the worker (Shift and reload) has none until it is claimed.
  claim: () => worker.clients.claim(),
  open: ({ id, grant }) => openGranted(id, grant),
  close: ({ id }) => forgetSound(id),
  problem: ({ id }) => problemWith(id),
  download: async ({ id, wanted }, port) => void (await prepare(id, wanted, port)),
  // Whatever is heard keeps the browser from ending the worker while it streams.
  stay: () => {},
  // A page that does not stay signed in has gone.
  leave: ({ token }) =>
    fetch("/api/logout", { method: "POST", headers: { Authorization: `Bearer ${token}` } }).catch(() => {}),
  forget: () => {
    forgetSounds();
    forgetDownloads();
  },
});

worker.addEventListener("message", (event) => {
  const [port = null] = event.ports;
  const answer = async () => {
    try {
      const done = (await HEARD[event.data.type]?.(event.data, port)) ?? true;
      port?.postMessage({ done });
    } catch (error) {
      port?.postMessage({ problem: problemOf(error) });
    }
  };
  event.waitUntil(answer());
});
