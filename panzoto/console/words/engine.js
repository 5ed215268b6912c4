// What makes transcripts at the service, if anything does, and where the sound goes for that.

import { profile, refreshProfile } from "../session/profile.js";
import { session } from "../session/session.js";
import { createStore } from "../store.js";
import { t } from "../texts/index.js";

/**
 * As `GET /api/user` tells it; null until it is known. `given` is the engine that was agreed to.
 *
 * @typedef {import("../session/profile.js").Profile["transcription"]} Engine
 * @typedef {{ engine: Engine | null, given: string | null }} Knowledge
 */

/** @type {import("../store.js").Store<Knowledge>} */
export const knowledge = createStore(/** @type {Knowledge} */ ({ engine: null, given: null }));

/** Find out what the engine is, if it is not known. Rejects as calls do. */
export async function engineKnown() {
  if (profile.get().now === null) await refreshProfile();
}

/** Where the sound goes, in words: "on this server", or to whom. @param {Engine} engine */
export const placeOf = ({ local, engine }) =>
  local ? t("words.onThisServer") : t("words.atEngine", { engine: engine ?? "" });

function takeEngine() {
  const engine = profile.get().now?.transcription ?? null;
  if (engine !== knowledge.get().engine) knowledge.set({ engine });
}

profile.subscribe(takeEngine);
takeEngine();

session.subscribe(() => {
  if (session.get().state === "out") knowledge.set({ given: null });
});
