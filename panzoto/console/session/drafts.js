// What was typed and not saved: sealed while it is typed and before the key is forgotten, and back in its field afterwards.

import { forget, keep, kept } from "../database.js";
import { fromUtf8, utf8 } from "../library/bytes.js";
import { tell } from "../parts/messages.js";
import { useEffect, useState } from "../ui.js";
import { account, beforeLock, session, vault } from "./session.js";

// A reload or a crash loses no more than what was typed in so long.
const SEAL_AFTER_MS = 500;

/** @type {Map<string, string>} */
const typed = new Map();
/** Behind a lock, where the browser keeps nothing. @type {Map<string, { iv: Uint8Array, sealed: ArrayBuffer }>} */
const sealedHere = new Map();
/** @type {Map<string, ReturnType<typeof setTimeout>>} */
const waiting = new Map();

const keyOf = (/** @type {string} */ name) => `${account().user_id}/${name}`;
const aboutOf = (/** @type {string} */ name) => utf8(`panzoto/console/draft\0${keyOf(name)}`);

/** @param {string} name @param {string} text */
async function seal(name, text) {
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const how = { name: "AES-GCM", iv, additionalData: aboutOf(name) };
  const sealed = await crypto.subtle.encrypt(how, vault().namesKey, utf8(text));
  // What was saved or given up meanwhile is no draft any more.
  if (typed.get(name) !== text) return;
  sealedHere.set(keyOf(name), { iv, sealed });
  await keep("drafts", keyOf(name), { iv, sealed }).catch(() => {});
}

async function sealAll() {
  for (const timer of waiting.values()) clearTimeout(timer);
  waiting.clear();
  await Promise.all([...typed].map(([name, text]) => seal(name, text)));
  typed.clear();
}

beforeLock(sealAll);
session.subscribe(() => {
  if (session.get().state === "out") typed.clear();
});

/** @param {string} name @param {string} text */
function type(name, text) {
  typed.set(name, text);
  clearTimeout(waiting.get(name));
  const later = () => {
    waiting.delete(name);
    if (session.get().state === "open") seal(name, text).catch(tell);
  };
  waiting.set(name, setTimeout(later, SEAL_AFTER_MS));
}

/** @param {string} name */
function giveUp(name) {
  typed.delete(name);
  clearTimeout(waiting.get(name));
  waiting.delete(name);
  sealedHere.delete(keyOf(name));
  forget("drafts", keyOf(name)).catch(() => {});
}

/** Return a draft that was sealed, or null. @returns {Promise<string | null>} */
async function takeBack(/** @type {string} */ name) {
  const row = sealedHere.get(keyOf(name)) ?? (await kept("drafts", keyOf(name)));
  if (row === undefined) return null;
  const how = { name: "AES-GCM", iv: row.iv, additionalData: aboutOf(name) };
  try {
    return fromUtf8(new Uint8Array(await crypto.subtle.decrypt(how, vault().namesKey, row.sealed)));
  } catch {
    return null;
  }
}

/**
 * A field's text as it stands, begun as `saved`: `[text, setText, done]`. `done` says that it was given up, or, told
 * what was written, that it was saved: then what was typed since stays.
 *
 * @param {string} name unique within the account, such as `title/<file_id>`
 * @param {string} saved
 * @returns {[string, (text: string) => void, (written?: string) => void]}
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
    }, () => {});
  }, [name]);
  /** @param {string} [written] */
  const done = (written) => {
    if (written !== undefined && typed.has(name) && typed.get(name) !== written) return;
    giveUp(name);
    setText(null);
  };
  const change = (/** @type {string} */ next) => {
    if (next === saved) return done();
    type(name, next);
    setText(next);
  };
  return [text ?? saved, change, done];
}
