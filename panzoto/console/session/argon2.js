// The page's side of the Argon2id Worker, which is loaded at the start so that a later release cannot replace it.

import { startWorker } from "../trusted.js";

const worker = startWorker("session/argon2-worker.js");

/**
 * Argon2id (RFC 9106) off the main thread.
 *
 * @param {{
 *   password: Uint8Array, salt: Uint8Array, iterations: number, memorySize: number, parallelism: number,
 *   hashLength: number,
 * }} wanted memory in KiB, length in bytes
 * @returns {Promise<Uint8Array>}
 */
export function argon2id(wanted) {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve, reject) => {
    port1.onmessage = ({ data }) => {
      port1.close();
      if (data.key) resolve(data.key);
      else reject(new Error(data.error));
    };
    worker.postMessage(wanted, [port2]);
  });
}
