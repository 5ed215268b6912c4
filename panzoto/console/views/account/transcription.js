// Where the sound of recordings goes to become words, and whether that was agreed to.

import { Section } from "../../parts/section.js";
import { t } from "../../texts/index.js";
import { html } from "../../ui.js";
import { TranscriptionSettings } from "../../words/settings.js";

export const Transcription = () => html`
  <${Section} title=${t("account.transcription")}>
    <${TranscriptionSettings} />
  <//>
`;
