// What follows on a new account: its recovery key, now or later.

import { Button } from "../../parts/fields.js";
import { goInstead } from "../../router.js";
import { t } from "../../texts/index.js";
import { html } from "../../ui.js";
import { RecoveryKeyMaker } from "./maker.js";
import { forgetPassword } from "./password.js";

export function RecoveryKey() {
  const leave = () => {
    forgetPassword();
    goInstead("recordings");
  };
  return html`
    <section class="narrow" aria-labelledby="recovery-key">
      <h1 id="recovery-key">${t("recovery.title")}</h1>
      <p>${t("recovery.why")}</p>
      <${RecoveryKeyMaker} first done=${leave}
        beside=${html`<${Button} class="plain" onClick=${leave}>${t("recovery.later")}<//>`} />
    </section>
  `;
}
