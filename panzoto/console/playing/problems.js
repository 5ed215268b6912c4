// Words for what goes wrong while playing and saving.

import { t } from "../texts/index.js";
import { WorkerError } from "./worker-link.js";
import { ObjectError } from "./objects.js";

const KNOWN = /** @type {Record<string, import("../texts/index.js").TextName>} */ ({
  damaged: "player.damaged",
  decryption_failed: "problem.decryption_failed",
  object_changed: "player.changed",
  no_sound: "player.noSound",
  object_not_found: "player.gone",
  refused: "player.bucketRefused",
  too_large: "download.tooLarge",
  unplayable: "player.unplayable",
  unreachable: "player.unreachable",
  unsupported_format: "problem.unsupported_format",
});

/**
 * Whether the browser plays what a recording is said to be. 3GP says little: in it may be what no browser plays.
 *
 * @param {{ content_type: string | null }} recording
 */
export const isKnownKind = ({ content_type }) =>
  content_type !== null && !/3gp/.test(content_type) && new Audio().canPlayType(content_type) !== "";

/** Why a recording plays in no rendering that there is. @param {{ content_type: string | null }} recording */
export const whyUnplayable = (recording) => (isKnownKind(recording) ? "no_sound" : "unplayable");

/** Sound that this browser plays in no rendering that there is. */
export class UnplayableError extends Error {
  /** @param {{ content_type: string | null }} recording */
  constructor(recording) {
    super();
    this.code = whyUnplayable(recording);
  }
}

// What is the matter with one recording alone: others of its conversation may well be played.
const OF_ONE = new Set([
  "audio_file_not_found", "damaged", "decryption_failed", "no_sound", "object_changed", "object_not_found", "unplayable",
  "unsupported_format",
]);

/** Whether a failure is of this recording alone, and not of the line, the service or the session. @param {unknown} failure an error, or the code of one */
export const isOfOne = (failure) => OF_ONE.has(codeOf(failure));

/** @param {unknown} failure an error, or the code of one @returns {string} */
const codeOf = (failure) => (typeof failure === "string" ? failure : /** @type {any} */ (failure).code);

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
  return t(KNOWN[codeOf(failure)] ?? "problem.unexpected");
}
