// What lies in the trash: pages of it, as long as they stay there.

import { call, session } from "../session/session.js";
import { createStore } from "../store.js";
import { recordingFrom } from "./known.js";
import { isErased, onAction, recordings } from "./store.js";

/** @import { AudioFile, Recording } from "./known.js" */
/**
 * @typedef {object} Trash
 * @property {Recording[]} rows
 * @property {string | null} cursor where there is more
 * @property {"loading" | "shown"} state
 * @property {unknown} failure
 */

const PAGE = 50;
// The service's list of the trash may lag behind its answers a little.
const LAG_MS = 60_000;
/** @returns {Trash} */
const none = () => ({ rows: [], cursor: null, state: "loading", failure: null });

/** @type {import("../store.js").Store<Trash>} */
export const trash = createStore(none());

session.subscribe(() => {
  if (session.get().state === "out") trash.set(none());
});

onAction((fileId, file) => {
  const others = trash.get().rows.filter((row) => row.file_id !== fileId);
  const trashed = file !== null && file.deleted_at !== null;
  trash.set({ rows: trashed ? [recordingFrom(file), ...others] : others });
});

/** What this page has put into the trash a moment ago. */
const justTrashed = () =>
  [...recordings.get().aside.values()].filter(
    ({ deleted_at }) => deleted_at !== null && Date.now() - Date.parse(deleted_at) < LAG_MS,
  );

/** Fetch the next page, or the first one `anew`. */
export async function loadTrash({ anew = false } = {}) {
  const asker = session.get().account;
  const { cursor } = trash.get();
  trash.set({ state: "loading", failure: null });
  const more = anew || cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
  try {
    const page = await call("GET", `/api/user/trash?limit=${PAGE}${more}`);
    if (session.get().account !== asker) return;
    const before = more === "" ? justTrashed() : trash.get().rows;
    /** @type {AudioFile[]} */
    const files = page.audio_files;
    const came = files.filter(({ file_id }) => !isErased(file_id)).map(recordingFrom);
    const ids = new Set(came.map(({ file_id }) => file_id));
    const rows = [...before.filter(({ file_id }) => !ids.has(file_id)), ...came];
    trash.set({ rows, cursor: page.next_cursor, state: "shown" });
  } catch (failure) {
    if (session.get().account === asker) trash.set({ failure, state: "shown" });
  }
}
