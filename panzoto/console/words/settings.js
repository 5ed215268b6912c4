// Agreeing to transcripts once and for all, and taking that back: for the account's page.

import { attempt } from "../parts/messages.js";
import { Checkbox } from "../parts/fields.js";
import { vault } from "../session/session.js";
import { useStore } from "../store.js";
import { t } from "../texts/index.js";
import { html, useEffect } from "../ui.js";
import { consentKnown, giveConsent, takeConsentBack, useConsent } from "./consent.js";
import { knowledge, placeOf } from "./engine.js";

/** Where the sound goes, and whether that was agreed to for every recording. */
export function TranscriptionSettings() {
  const engine = useStore(knowledge, (value) => value.engine);
  const agreed = useConsent();
  useEffect(() => {
    // Without an answer there is nothing to agree to.
    consentKnown().catch(() => {});
  }, []);
  if (vault().transcripts.foreign) return html`<p class="said said-alert">${t("account.foreign")}</p>`;
  if (engine === null) return null;
  if (!engine.available) return html`<p>${t("words.unavailable")}</p>`;
  const change = (/** @type {boolean} */ wanted) => attempt(wanted ? giveConsent : takeConsentBack);
  return html`
    <p>${t(agreed ? "words.place" : "words.where", { place: placeOf(engine) })}</p>
    ${engine.model !== null && html`<p><small>${t("words.model", { model: engine.model })}</small></p>`}
    <${Checkbox} label=${t("words.always")} hint=${t("words.alwaysHint")} checked=${agreed}
      change=${change} />
  `;
}
