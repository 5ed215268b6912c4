// What was typed and not saved: sealed before the key is forgotten, and back in its field afterwards.

import { forget, keep, kept } from "../database.js";
import { useEffect, useState } from "../ui.js";
import { account, beforeLock, session, vault } from "./session.js";

/** @type {Map<string, string>} */
const typed = new Map();

const keyOf = (/** @type {string} */ name) => `${account().user_id}/${name}`;
const aboutOf = (/** @type {string} */ name) => new TextEncoder().encode(`panzoto/console/draft\0${keyOf(name)}`);

async function sealAll() {
  for (const [name, text] of typed) {
    const iv = crypto.getRandomValues(new Uint8Array(12));
    const how = { name: "AES-GCM", iv, additionalData: aboutOf(name) };
    const sealed = await crypto.subtle.encrypt(how, vault().namesKey, new TextEncoder().encode(text));
    await keep("drafts", keyOf(name), { iv, sealed });
  }
  typed.clear();
}

beforeLock(sealAll);

/** Return a draft that was sealed, and forget it there; null for none. @returns {Promise<string | null>} */
async function takeBack(/** @type {string} */ name) {
  const row = await kept("drafts", keyOf(name));
  if (row === undefined) return null;
  await forget("drafts", keyOf(name));
  const how = { name: "AES-GCM", iv: row.iv, additionalData: aboutOf(name) };
  try {
    return new TextDecoder().decode(await crypto.subtle.decrypt(how, vault().namesKey, row.sealed));
  } catch {
    return null;
  }
}

/**
 * A field's text as it stands, begun as `saved`: `[text, setText, done]`. `done` says that it was saved or given up.
 *
 * @param {string} name unique within the account, such as `title/<file_id>`
 * @param {string} saved
 * @returns {[string, (text: string) => void, () => void]}
 */
export function useDraft(name, saved) {
  const [text, setText] = useState(/** @type {string | null} */ (typed.get(name) ?? null));
  useEffect(() => {
    setText(typed.get(name) ?? null);
    if (session.get().state !== "open") return;
    takeBack(name).then((found) => {
      if (found === null || typed.has(name)) return;
      typed.set(name, found);
      setText(found);
    });
  }, [name]);
  const change = (/** @type {string} */ next) => {
    typed.set(name, next);
    setText(next);
  };
  const done = () => {
    typed.delete(name);
    setText(null);
  };
  return [text ?? saved, change, done];
}
