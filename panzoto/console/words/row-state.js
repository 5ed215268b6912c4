// What a row of the list says about a transcript: how far it is, and what was said first.

import { session } from "../session/session.js";
import { createStore, useStore } from "../store.js";
import { t } from "../texts/index.js";
import { html, useEffect } from "../ui.js";
import { beginnings, onChanged, progress } from "./link.js";

/** @import { Recording } from "../recordings/known.js" */

/** What was said first, as far as it is known; so many rows are remembered. */
const known = createStore({ texts: /** @type {Map<string, string>} */ (new Map()) });
const MOST_REMEMBERED = 500;
/** @type {Set<string>} */
let wanted = new Set();

onChanged((fileIds) => {
  const texts = new Map(known.get().texts);
  for (const fileId of fileIds) texts.delete(fileId);
  known.set({ texts });
});

session.subscribe(() => {
  if (session.get().state !== "open" && known.get().texts.size > 0) known.set({ texts: new Map() });
});

/** Ask once for all rows that are drawn in one turn. @param {string} fileId */
function want(fileId) {
  if (wanted.size === 0) setTimeout(fetchWanted);
  wanted.add(fileId);
}

async function fetchWanted() {
  const fileIds = [...wanted];
  wanted = new Set();
  const found = await beginnings(fileIds).catch(() => []);
  const before = [...known.get().texts].slice(-MOST_REMEMBERED);
  const texts = new Map(before);
  // What is not open yet is asked for again once something has changed.
  found.forEach((text, place) => text && texts.set(fileIds[place], text));
  known.set({ texts });
}

/**
 * The first words of a recording's transcript, empty while they are not known. A hook: the component that
 * calls it is drawn anew when they come, and calls it always.
 *
 * @param {string} fileId
 */
export function firstWords(fileId) {
  const text = useStore(known, ({ texts }) => texts.get(fileId));
  const changes = useStore(progress, (value) => value.changes);
  // Those that were kept here are opened after a reload without having changed.
  const ready = useStore(progress, (value) => value.all > 0 && value.ready === value.all);
  useEffect(() => {
    if (text === undefined) want(fileId);
  }, [fileId, text === undefined, changes, ready]);
  return text ?? "";
}

/**
 * The first words, or how far the transcript is; nothing where there is none.
 *
 * @param {{ recording: Recording }} props
 */
export function TranscriptState({ recording }) {
  const { file_id, transcript } = recording;
  if (transcript?.status === "queued") return html`<span>${t("words.stateQueued")}</span>`;
  if (transcript?.revision) return html`<${FirstWords} fileId=${file_id} />`;
  if (transcript?.status === "failed") return html`<span>${t("words.stateFailed")}</span>`;
  return null;
}

/** @param {{ fileId: string }} props */
function FirstWords({ fileId }) {
  const text = firstWords(fileId);
  return html`<span class="first-words" dir="auto">${text}</span>`;
}
