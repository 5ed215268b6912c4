// The locked page: whoever comes back types the password, and everything is as it was.

import { Button } from "../../parts/fields.js";
import { useWork } from "../../parts/work.js";
import { session, signOut, unlock } from "../../session/session.js";
import { useStore } from "../../store.js";
import { t } from "../../texts/index.js";
import { html, useState } from "../../ui.js";
import { KnownPassword } from "./fields.js";
import { Form } from "./form.js";

export function Locked() {
  const { account, ended } = useStore(session, (value) => value);
  const [password, setPassword] = useState("");
  const work = useWork(() => unlock(password));
  const leaving = useWork(signOut);
  return html`
    <${Form} title=${t("entrance.locked")} button=${t("entrance.unlock")} work=${work} beside=${html`
      <${Button} class="plain" busy=${leaving.busy} onClick=${() => leaving.submit()}>${t("main.signOut")}<//>
    `}>
      <p>${ended ? t("entrance.ended") : t("entrance.lockedHint")}</p>
      <p class="who">${account?.user.email}</p>
      <input type="email" name="email" autocomplete="username" value=${account?.user.email} readonly hidden />
      <${KnownPassword} value=${password} change=${setPassword} />
    <//>
  `;
}
