// Titles and notes, opened as they are needed and forgotten with the key.

import { openName } from "../library/names.js";
import { session, vault } from "../session/session.js";
import { createStore, useStore } from "../store.js";
import { moment } from "../texts/formats.js";
import { momentOf } from "./known.js";

/** @import { AudioFile } from "./known.js" */
/** @typedef {"title" | "note"} What */
/** @typedef {{ sealed: string, text: string | null, opening: Promise<string | null> | null }} Opened */

/** How many were opened: views that show some are drawn anew. */
const changed = createStore({ count: 0 });
/** @type {Map<string, Opened>} */
const opened = new Map();
let telling = false;

session.subscribe(() => {
  if (session.get().state !== "open") opened.clear();
});

/** Tell the views once for all that are opened in one turn. */
function tellSoon() {
  if (telling) return;
  telling = true;
  setTimeout(() => {
    telling = false;
    changed.set(({ count }) => ({ count: count + 1 }));
  });
}

/** @param {What} what @param {AudioFile} recording @returns {Opened | null} */
function entryOf(what, recording) {
  const sealed = recording[what];
  if (sealed === null) return null;
  const key = `${what}/${recording.file_id}`;
  const found = opened.get(key);
  if (found?.sealed === sealed) return found;
  if (session.get().state !== "open") return null;
  /** @type {Opened} */
  const entry = { sealed, text: null, opening: null };
  opened.set(key, entry);
  entry.opening = openName(vault(), what, recording.file_id, sealed)
    .catch(() => null)
    .then((text) => {
      entry.text = text;
      entry.opening = null;
      tellSoon();
      return text;
    });
  return entry;
}

/**
 * Open a title or a note; null where there is none or where it does not open.
 *
 * @param {What} what
 * @param {AudioFile} recording
 * @returns {Promise<string | null>}
 */
export async function openedName(what, recording) {
  const entry = entryOf(what, recording);
  return entry?.opening ?? entry?.text ?? null;
}

/**
 * Know at once what a title or a note says that was just sealed here.
 *
 * @param {What} what
 * @param {AudioFile} recording
 */
export function rememberName(what, recording, /** @type {string} */ text) {
  const sealed = recording[what];
  if (sealed !== null) opened.set(`${what}/${recording.file_id}`, { sealed, text, opening: null });
  tellSoon();
}

/**
 * A title or a note as it stands: its text, and whether there is one that does not open.
 *
 * @param {What} what
 * @param {AudioFile} recording
 */
export function nameOf(what, recording) {
  const entry = entryOf(what, recording);
  if (entry === null || entry.opening !== null) return { text: "", closed: false };
  return { text: entry.text ?? "", closed: entry.text === null };
}

/**
 * What a recording is called: its title where it has one that is open by now, else its time.
 *
 * @param {AudioFile} recording
 */
export const titleOf = (recording) => headingOf(recording) || moment(momentOf(recording));

/** The title alone, in one line; empty where there is none. @param {AudioFile} recording */
export const headingOf = (recording) => nameOf("title", recording).text.replace(/\s+/gu, " ").trim();

/** Have a view drawn anew when titles or notes were opened. */
export const useNames = () => useStore(changed, ({ count }) => count);
