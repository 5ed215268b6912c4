// The locked page: whoever comes back types the password, and everything is as it was.

import { Button } from "../../parts/fields.js";
import { useWork } from "../../parts/work.js";
import { goInstead } from "../../router.js";
import { session, signOut, unlock } from "../../session/session.js";
import { useStore } from "../../store.js";
import { t } from "../../texts/index.js";
import { html, useRef, useState } from "../../ui.js";
import { KnownPassword } from "./fields.js";
import { Form } from "./form.js";
import { typed } from "./typed.js";

export function Locked() {
  const { account, ended } = useStore(session, (value) => value);
  const [password, setPassword] = useState("");
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const work = useWork(async () => {
    try {
      await unlock(password);
    } catch (error) {
      // Whoever has mistyped it types it anew.
      const field = place.current?.querySelector("input");
      field?.focus();
      field?.select();
      throw error;
    }
  });
  const leaving = useWork(signOut);
  // What brings the account back is for whoever is signed out, and keeps nothing that this page still holds.
  const forgotten = useWork(async () => {
    const email = account?.user.email ?? "";
    await signOut();
    typed.set({ email });
    goInstead("forgot");
  });
  return html`
    <${Form} title=${t("entrance.locked")} button=${t("entrance.unlock")} work=${work} beside=${html`
      <${Button} class="plain" busy=${forgotten.busy} onClick=${() => forgotten.submit()}>${t("entrance.forgot")}<//>
      <${Button} class="plain" busy=${leaving.busy} onClick=${() => leaving.submit()}>${t("main.signOut")}<//>
    `}>
      <p>${ended ? t("entrance.ended") : t("entrance.lockedHint")}</p>
      <p class="who">${account?.user.email}</p>
      <input type="email" name="email" autocomplete="username" value=${account?.user.email} readonly hidden />
      <div ref=${place}><${KnownPassword} value=${password} change=${setPassword} /></div>
    <//>
  `;
}
