// The recovery key: whether there is one, and another one.

import { Section } from "../../parts/section.js";
import { t } from "../../texts/index.js";
import { html } from "../../ui.js";
import { RecoveryKeyMaker } from "../recovery-key/maker.js";

/** @param {{ profile: import("../../session/profile.js").Profile | null }} props */
export function RecoveryKeySection({ profile }) {
  const said = profile?.recovery_key_set ? t("recovery.another") : t("recovery.why");
  return html`
    <${Section} title=${t("recovery.title")}>
      ${profile !== null && html`<p>${said}</p>`}
      <${RecoveryKeyMaker} done=${() => {}} />
    <//>
  `;
}
