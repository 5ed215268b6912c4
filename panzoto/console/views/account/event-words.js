// What happened to the account, in words: a sentence for every type of event, and another where its detail tells more.

import { t } from "../../texts/index.js";
import { knowledge } from "../../words/engine.js";

/** @typedef {import("../../texts/index.js").TextName} TextName */
/**
 * @typedef {{
 *   event_id: string, type: string, at: string, session_id: string | null, address: string | null,
 *   detail: Record<string, any>,
 * }} AccountEvent
 */

/**
 * By type: which text instead of the general one, for a detail.
 *
 * @type {Record<string, (detail: Record<string, any>) => TextName | undefined>}
 */
const CLOSER = {
  email_changed: ({ undone }) => (undone ? "event.email_changed.undone" : undefined),
  password_changed: ({ first, by }) =>
    first ? "event.password_changed.first" : by === "mail" ? "event.password_changed.mail" : undefined,
  recording_decrypted: ({ file_ids }) => (file_ids ? "event.recording_decrypted.several" : undefined),
  recording_deleted: ({ permanent }) => (permanent ? "event.recording_deleted.permanent" : undefined),
  sign_in_failed: ({ locked, by }) =>
    locked
      ? "event.sign_in_failed.locked"
      : by === "recovery_key"
        ? "event.sign_in_failed.recovery_key"
        : by === "provider_token"
          ? "event.sign_in_failed.provider_token"
          : undefined,
  signed_out: ({ others }) => (others ? "event.signed_out.others" : undefined),
};

// How an engine on the server itself is called, whichever the service has by now.
const ITSELF = /^(localhost|127(\.\d+){3}|\[?::1\]?)$/;

/** Where the sound went for a transcript: as under `Transcription`, where the engine is still the same. @param {string | undefined} host */
function whereAt(host) {
  if (!host) return "";
  const { engine } = knowledge.get();
  const local = ITSELF.test(host) || (engine !== null && engine.local && engine.engine === host);
  return local ? t("words.onThisServer") : t("event.atEngine", { engine: host });
}

/** A sentence for an event. One of a type that came later than this page is told by its name. @param {AccountEvent} event */
export function sentenceOf({ type, detail }) {
  const count = detail.file_ids?.length ?? 1;
  const name = CLOSER[type]?.(detail) ?? /** @type {TextName} */ (`event.${type}`);
  return t(name, { count, place: whereAt(detail.engine) }) ?? t("event.unknown", { type });
}
