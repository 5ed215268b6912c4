// Words for what goes wrong while playing and saving.

import { t } from "../texts/index.js";
import { WorkerError } from "./worker-link.js";
import { ObjectError } from "./objects.js";

const KNOWN = /** @type {Record<string, import("../texts/index.js").TextName>} */ ({
  damaged: "player.damaged",
  decryption_failed: "problem.decryption_failed",
  object_changed: "player.changed",
  object_not_found: "player.gone",
  refused: "player.bucketRefused",
  too_large: "download.tooLarge",
  unplayable: "player.unplayable",
  unreachable: "player.unreachable",
  unsupported_format: "problem.unsupported_format",
});

/** Sound that this browser plays in no rendering that there is. */
export class UnplayableError extends Error {
  code = "unplayable";
}

const OURS = [WorkerError, ObjectError, UnplayableError];

/**
 * What to tell of a failure: its own words, where it is of the worker, the bucket or the browser; else
 * the failure itself, which has a request to quote.
 *
 * @param {unknown} failure an error, or the code of one
 */
export function wordsFor(failure) {
  const ours = typeof failure === "string" || OURS.some((one) => failure instanceof one);
  if (!ours) return failure;
  const code = typeof failure === "string" ? failure : /** @type {{ code: string }} */ (failure).code;
  return t(KNOWN[code] ?? "problem.unexpected");
}
