// Whether somebody has agreed that their recordings are transcribed, by which engine, in this browser and
// account.

import { forget, keep, kept } from "../database.js";
import { toBase64 } from "../library/bytes.js";
import { Dialog } from "../parts/dialog.js";
import { account, session, vault } from "../session/session.js";
import { createStore, useStore } from "../store.js";
import { t } from "../texts/index.js";
import { html } from "../ui.js";
import { engineKnown, knowledge, placeOf } from "./engine.js";

/** The question that is open, if one is. */
const question = createStore({ answer: /** @type {((agreed: boolean) => void) | null} */ (null) });

/**
 * Which engine was agreed to: another host, or another host behind "this server", asks anew.
 *
 * @param {import("./engine.js").Engine} engine
 */
const nameOf = ({ engine, local }) => `${local ? "local" : "remote"} ${engine}`;

const isPossible = () => {
  const { engine } = knowledge.get();
  return engine?.available === true && session.get().state === "open" && !vault().transcripts.foreign;
};

/** Whether recordings may be transcribed without asking again. Known once `consentKnown` has resolved. */
export function consentGiven() {
  const { engine, given } = knowledge.get();
  return isPossible() && engine !== null && given === nameOf(engine);
}

/** Draw anew whenever the answer to `consentGiven` becomes another. */
export const useConsent = () => useStore(knowledge, () => consentGiven());

/** Find out what the engine is and what was agreed to. Resolves to `consentGiven()`. */
export async function consentKnown() {
  const { user_id } = account();
  await engineKnown();
  const given = (await kept("consents", user_id))?.engine ?? null;
  if (session.get().account?.user_id === user_id) knowledge.set({ given });
  return consentGiven();
}

/**
 * Whether somebody has agreed here, to whatever engine; to be known behind the lock as well.
 *
 * @param {string} userId
 */
export const hasAgreed = async (userId) => (await kept("consents", userId)) !== undefined;

/** Keep that somebody agrees to the engine as it is now. */
export async function giveConsent() {
  const { engine } = knowledge.get();
  if (engine === null) return;
  knowledge.set({ given: nameOf(engine) });
  await keep("consents", account().user_id, { engine: nameOf(engine) });
}

export async function takeConsentBack() {
  knowledge.set({ given: null });
  await forget("consents", account().user_id);
}

/**
 * Ask, unless somebody has agreed already; resolves to whether they have. Without an engine nobody is asked.
 */
export async function askConsent() {
  if (await consentKnown()) return true;
  if (!isPossible()) return false;
  question.get().answer?.(false);
  const agreed = await new Promise((answer) => question.set({ answer }));
  question.set({ answer: null });
  if (agreed) await giveConsent();
  return agreed;
}

/**
 * What completing an upload takes as `transcribe`, so that the recording is transcribed once it is there;
 * undefined where nobody has agreed, or nothing transcribes.
 *
 * @param {Uint8Array} fileKey the recording's own key
 */
export const wish = (fileKey) => (consentGiven() ? { file_key: toBase64(fileKey) } : undefined);

// Whoever unlocks or signs in next was not asked.
session.subscribe(() => {
  if (session.get().state !== "open") question.get().answer?.(false);
});

/** The question, wherever the page is; it stands in the shell. */
export function ConsentQuestion() {
  const answer = useStore(question, (value) => value.answer);
  const engine = useStore(knowledge, (value) => value.engine);
  if (answer === null || engine === null) return null;
  return html`
    <${Dialog} title=${t("words.consentTitle")} close=${() => answer(false)}>
      <p>${t("words.consent", { place: placeOf(engine) })}</p>
      <div class="actions">
        <button type="button" onClick=${() => answer(false)}>${t("words.consentNo")}</button>
        <button type="button" class="primary" onClick=${() => answer(true)}>${t("words.consentYes")}</button>
      </div>
    <//>
  `;
}
