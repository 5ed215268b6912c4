// What can be done with a recording. Each takes in what the service answers, and has the list asked for what
// changed.

import { ServiceError } from "../library/errors.js";
import { sealName } from "../library/names.js";
import { call, vault } from "../session/session.js";
import { lost, refreshSoon, took } from "./store.js";
import { rememberName } from "./titles.js";

/** @import { AudioFile } from "./known.js" */

const pathOf = (/** @type {AudioFile} */ { file_id }) => `/api/audio-file/${file_id}`;

/** @param {"title" | "note"} what @param {AudioFile} recording @param {string | undefined} text */
async function sealed(what, recording, text) {
  if (text === undefined) return {};
  return { [what]: text === "" ? null : await sealName(vault(), what, recording.file_id, text) };
}

/**
 * Write title, note or both; an empty text takes one away, and what is left out stays as it is.
 *
 * @param {AudioFile} recording
 * @param {{ title?: string, note?: string }} texts
 */
export async function describe(recording, { title, note }) {
  const body = { ...(await sealed("title", recording, title)), ...(await sealed("note", recording, note)) };
  const { audio_file } = await call("PATCH", pathOf(recording), body);
  if (title) rememberName("title", audio_file, title);
  if (note) rememberName("note", audio_file, note);
  took(audio_file);
  refreshSoon();
}

/** The recording as the service has it by now. @param {AudioFile} recording @returns {Promise<AudioFile>} */
export async function asItIsNow(recording) {
  const { audio_file } = await call("GET", pathOf(recording));
  took(audio_file);
  return audio_file;
}

/** @param {AudioFile} recording */
export async function moveToTrash(recording) {
  took((await call("DELETE", pathOf(recording))).audio_file);
  refreshSoon();
}

/** Rejects with `quota_exceeded` where there is no room for it. @param {AudioFile} recording */
export async function restore(recording) {
  took((await call("POST", `${pathOf(recording)}/restore`)).audio_file);
  refreshSoon();
}

/** Erase it for good, object and all; that it is gone already is as good. @param {AudioFile} recording */
export async function erase(recording) {
  try {
    await call("DELETE", `${pathOf(recording)}?permanent=true`);
  } catch (failure) {
    if (!(failure instanceof ServiceError) || failure.code !== "audio_file_not_found") throw failure;
  }
  lost(recording.file_id);
  refreshSoon();
}

/** Whether a recording is of an earlier app, as far as that is known yet. @param {AudioFile} recording */
export const isOld = ({ format }) => format !== null && format.startsWith("single-");
