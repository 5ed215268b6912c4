// The one policy of Trusted Types: which addresses may be run as scripts of workers, and nothing else.

const BASE = new URL(".", import.meta.url).href;
export const SERVICE_WORKER = "/console-worker.js";

// Browsers without Trusted Types take the address as it is.
const policy = /** @type {any} */ (globalThis).trustedTypes?.createPolicy("panzoto", { createScriptURL: checked });

/** @param {string} address */
function checked(address) {
  if (address !== SERVICE_WORKER && !address.startsWith(BASE)) throw new TypeError("not a script of the console");
  return address;
}

/** Return what a browser takes as the address of a worker's script. @returns {string} */
export const scriptAddress = (/** @type {string} */ address) => policy?.createScriptURL(address) ?? checked(address);

/** Start a Worker of the console, by its module's path within it. @param {string} path */
export const startWorker = (path) => new Worker(scriptAddress(new URL(path, BASE).href), { type: "module" });
