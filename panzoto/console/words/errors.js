// Errors on their way from the Worker to the page, which loses what classes they are of.

import { AccountError, ServiceError, TranscriptError } from "../library/errors.js";

/** @param {unknown} error */
export function packedError(error) {
  if (!(error instanceof Error)) return { name: "Error", message: "unknown" };
  return { .../** @type {any} */ (error), name: error.name, message: error.message, cause: undefined };
}

/** @param {any} packed @returns {Error} */
export function unpackedError(packed) {
  const { name, message } = packed;
  if (name === "ServiceError") return new ServiceError(packed.status, packed.code, message, packed);
  if (name === "TranscriptError") return new TranscriptError(packed.reason, message);
  if (name === "AccountError") return new AccountError(packed.reason, message);
  return Object.assign(new Error(message), { name });
}
