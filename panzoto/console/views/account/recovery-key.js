// The recovery key: whether there is one, whether its person has it, and another one.

import { Button } from "../../parts/fields.js";
import { Section } from "../../parts/section.js";
import { session } from "../../session/session.js";
import { lookForUnprovenKey, noteProvenKey, unproven } from "../../session/unproven-key.js";
import { useStore } from "../../store.js";
import { t } from "../../texts/index.js";
import { html, useEffect } from "../../ui.js";
import { RecoveryKeyMaker } from "../recovery-key/maker.js";

/** @param {{ profile: import("../../session/profile.js").Profile | null }} props */
export function RecoveryKeySection({ profile }) {
  const isUnproven = useStore(unproven, ({ of }) => of !== null && of === session.get().account?.user_id);
  useEffect(() => {
    lookForUnprovenKey();
  }, []);
  return html`
    <${Section} title=${t("recovery.title")}>
      <${RecoveryKeyMaker} done=${() => {}} before=${profile !== null && html`
        ${isUnproven && profile.recovery_key_set && html`
          <p>${t("recovery.unproven")}</p>
          <p><${Button} onClick=${noteProvenKey}>${t("recovery.have")}<//></p>
        `}
        <p>${t(profile.recovery_key_set ? "recovery.another" : "recovery.why")}</p>
      `} />
    <//>
  `;
}
