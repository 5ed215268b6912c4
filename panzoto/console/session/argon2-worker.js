// Argon2id in a Worker: in the page it would stop every frame for a quarter of a second.

import "../node_modules/hash-wasm/dist/argon2.umd.min.js";

const { hashwasm } = /** @type {any} */ (globalThis);

addEventListener("message", async ({ data, ports }) => {
  try {
    const key = await hashwasm.argon2id({ ...data, outputType: "binary" });
    ports[0].postMessage({ key }, [key.buffer]);
  } catch (error) {
    ports[0].postMessage({ error: String(error) });
  }
});
