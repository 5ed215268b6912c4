// What makes transcripts at the service, if anything does, and where the sound goes for that.

import { account, call, session } from "../session/session.js";
import { createStore } from "../store.js";
import { t } from "../texts/index.js";

/**
 * As `GET /api/user` tells it; null until it is known.
 *
 * @typedef {{ available: boolean, engine: string | null, model: string | null, local: boolean }} Engine
 * @typedef {{ engine: Engine | null, given: string | null }} Knowledge `given`: the engine that was agreed to
 */

/** @type {import("../store.js").Store<Knowledge>} */
export const knowledge = createStore(/** @type {Knowledge} */ ({ engine: null, given: null }));

/** @type {Promise<Engine> | null} */
let coming = null;

/**
 * Ask what the engine is, once for as long as somebody is signed in, unless `anew`.
 *
 * @param {{ anew?: boolean }} [how]
 */
export function engineKnown({ anew = false } = {}) {
  if (coming === null || anew) {
    const { user_id } = account();
    coming = call("GET", "/api/user").then(({ transcription }) => {
      if (session.get().account?.user_id === user_id) knowledge.set({ engine: transcription });
      return transcription;
    });
    coming.catch(() => {
      coming = null;
    });
  }
  return coming;
}

/** Where the sound goes, in words: "on this server", or to whom. @param {Engine} engine */
export const placeOf = ({ local, engine }) =>
  local ? t("words.onThisServer") : t("words.atEngine", { engine: engine ?? "" });

session.subscribe(() => {
  if (session.get().state !== "out") return;
  coming = null;
  knowledge.set({ engine: null, given: null });
});
