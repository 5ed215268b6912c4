// The worker's recordings: opened once, by what a page grants, and read in ranges from then on.

import { RecordingReader } from "../library/recordings.js";
import { kindOf, TELLING_BYTES } from "./kinds.js";
import { ObjectError, objectSource } from "./objects.js";
import { askPages, problemOf, tellPage } from "./pages-worker.js";
import { answerRange } from "./ranges-worker.js";

/** @typedef {import("./addresses.js").Grant} Grant */
/** @typedef {import("./addresses.js").Problem} Problem */
/** @typedef {{ reader: RecordingReader, kind: string }} Sound */

/** Recordings that are open, by the random part of their addresses. @type {Map<string, Promise<Sound>>} */
const sounds = new Map();

/** Why sounds broke off, for the page to ask: `<audio>` tells nothing of it. @type {Map<string, Problem>} */
const problems = new Map();

/** Forget all keys and readers. */
export function forgetSounds() {
  sounds.clear();
  problems.clear();
}

export function forgetSound(/** @type {string} */ id) {
  sounds.delete(id);
  problems.delete(id);
}

/** Why a sound broke off, said once; null where nothing is known of it. @param {string} id */
export function problemWith(id) {
  const problem = problems.get(id) ?? null;
  problems.delete(id);
  return { problem };
}

/**
 * Open a recording by what a page has granted; resolves to its length in bytes and its kind.
 *
 * @param {string} id
 * @param {Grant} grant
 */
export async function openGranted(id, grant) {
  const { reader, kind } = await remembered(id, opened(grant, () => renewedGrant("", id)));
  return { length: reader.length, kind };
}

/**
 * Answer `<audio>`: with the sound, or with an error, whose reason the page can ask for.
 *
 * @param {FetchEvent} event
 * @param {string} id
 */
export async function answerSound({ request, clientId }, id) {
  // Sound is for players and scripts of the console; a tab would show whatever it is.
  if (request.mode === "navigate") return new Response(null, { status: 404 });
  const failed = (/** @type {unknown} */ error) => {
    const problem = problemOf(error);
    problems.set(id, problem);
    // Browsers try for a minute before they give up, and the page can tell or mend it meanwhile.
    tellPage(clientId, { type: "sound-failed", id, problem });
    // After a dead network the same reader goes on; what else fails begins anew.
    if (problem.code !== "unreachable") sounds.delete(id);
  };
  try {
    const sound = await (sounds.get(id) ?? remembered(id, openedAnew(clientId, id)));
    return answerRange(request, sound, failed);
  } catch (error) {
    failed(error);
    return new Response(null, { status: 502 });
  }
}

/** @param {string} id @param {Promise<Sound>} opening */
function remembered(id, opening) {
  sounds.set(id, opening);
  opening.catch(() => {
    if (sounds.get(id) === opening) sounds.delete(id);
  });
  return opening;
}

/** @param {string} clientId @param {string} id @returns {Promise<Sound>} */
async function openedAnew(clientId, id) {
  return opened(await renewedGrant(clientId, id), () => renewedGrant(clientId, id));
}

/** @param {string} clientId @param {string} id @returns {Promise<Grant>} */
async function renewedGrant(clientId, id) {
  const answer = await askPages(clientId, { type: "sound", id });
  if (answer?.grant) return answer.grant;
  if (answer?.problem) throw Object.assign(new Error("the page cannot grant it"), answer.problem);
  throw new ObjectError("refused");
}

/**
 * Open a recording, whose object is found again by `renewed` once its address has expired.
 *
 * @param {Grant} grant
 * @param {() => Promise<Grant>} renewed
 * @returns {Promise<Sound>}
 */
export async function opened({ vault, s3Key, object, contentType }, renewed) {
  const source = objectSource(object, async () => (await renewed()).object);
  const reader = await RecordingReader.open(/** @type {any} */ (vault), s3Key, source);
  let beginning = new Uint8Array();
  for await (const piece of reader.read(0, Math.min(TELLING_BYTES, reader.length))) beginning = piece;
  return { reader, kind: kindOf(beginning, contentType) };
}
