// Whether a recovery key was made in this browser that nobody has typed back: the account has one then, and perhaps
// nobody has written it down.

import { forget, keep, kept } from "../database.js";
import { createStore } from "../store.js";
import { account, session } from "./session.js";

const STORE = "unproven-keys";

/** `of` is the account whose key is not proven, as far as is known for who is signed in. */
export const unproven = createStore({ of: /** @type {string | null} */ (null) });

/** @type {Set<string>} Of which accounts a browser that keeps nothing knows it. */
const onlyHere = new Set();

/** Look what is kept for who is signed in; another tab may have changed it. */
export async function lookForUnprovenKey() {
  const user_id = session.get().account?.user_id;
  if (user_id === undefined) return;
  const found = onlyHere.has(user_id) || (await kept(STORE, user_id).catch(() => undefined)) !== undefined;
  if (session.get().account?.user_id === user_id) unproven.set({ of: found ? user_id : null });
}

/** A key was made, and is shown. */
export async function noteMadeKey() {
  const { user_id } = account();
  unproven.set({ of: user_id });
  await keep(STORE, user_id, { made_at: new Date().toISOString() }).catch(() => onlyHere.add(user_id));
}

/** Whoever is signed in has their key: it was typed back, opened the account, or they say so. */
export async function noteProvenKey() {
  const { user_id } = account();
  unproven.set({ of: null });
  onlyHere.delete(user_id);
  await forget(STORE, user_id).catch(() => {});
}
