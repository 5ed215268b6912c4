// What makes transcripts, and taking back that it may, for the account's page.

import { attempt, explain } from "../parts/messages.js";
import { vault } from "../session/session.js";
import { useStore } from "../store.js";
import { t } from "../texts/index.js";
import { html, useEffect, useState } from "../ui.js";
import { Checkbox } from "../parts/fields.js";
import { consentKnown, giveConsent, takeConsentBack, useConsent } from "./consent.js";
import { knowledge, placeOf } from "./engine.js";

/** What stands under the heading `Transcription`. */
export function TranscriptionSettings() {
  const engine = useStore(knowledge, (value) => value.engine);
  const agreed = useConsent();
  const [failure, setFailure] = useState(/** @type {unknown} */ (null));
  useEffect(() => {
    consentKnown().catch(setFailure);
  }, []);
  if (vault().transcripts.foreign) return html`<p>${t("account.foreign")}</p>`;
  if (failure !== null) return html`<p>${explain(failure).text}</p>`;
  if (engine === null) return null;
  if (!engine.available) return html`<p>${t("words.unavailable")}</p>`;
  const change = (/** @type {boolean} */ wanted) => attempt(wanted ? giveConsent : takeConsentBack);
  return html`
    <p>${t("words.place", { place: placeOf(engine) })} ${engine.model !== null && html`<small>${t("words.model", { model: engine.model })}</small>`}</p>
    <${Checkbox} label=${t("words.always")} hint=${t("words.alwaysHint")} checked=${agreed} change=${change} />
  `;
}
