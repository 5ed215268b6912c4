// Where the sound of recordings goes to become words, and whether that was agreed to.

import { Section } from "../../parts/section.js";
import { t } from "../../texts/index.js";
import { html } from "../../ui.js";
import { TranscriptionSettings } from "../../words/settings.js";

/** @param {{ profile: import("../../session/profile.js").Profile | null }} props */
export function Transcription({ profile }) {
  const engine = profile?.transcription;
  return html`
    <${Section} title=${t("account.transcription")}>
      ${engine !== undefined && html`<p>${sentenceOf(engine)}</p>`}
      <${TranscriptionSettings} />
    <//>
  `;
}

/** @param {import("../../session/profile.js").Profile["transcription"]} engine */
function sentenceOf({ available, engine, local }) {
  if (!available) return t("account.noEngine");
  return local ? t("account.localEngine") : t("account.engine", { engine: engine ?? "" });
}
