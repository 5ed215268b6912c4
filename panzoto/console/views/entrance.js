// The entrance: signing in, and making an account.

import { AccountError, ServiceError } from "../library/errors.js";
import { Button, Checkbox, Field, PasswordField } from "../parts/fields.js";
import { tell } from "../parts/messages.js";
import { addressOf } from "../router.js";
import { register, session, signIn, signOut, unlock } from "../session/session.js";
import { useStore } from "../store.js";
import { t } from "../texts/index.js";
import { html, useState } from "../ui.js";

/** Hold a form's work: `[busy, submit]`; `submit` runs the work once and says what went wrong. */
function useWork(/** @type {() => Promise<unknown>} */ work) {
  const [busy, setBusy] = useState(false);
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    try {
      await work();
    } catch (error) {
      tell(error);
    } finally {
      setBusy(false);
    }
  };
  return /** @type {const} */ ([busy, submit]);
}

/** @param {{ making?: boolean }} props */
export function SignIn({ making = false }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [stay, setStay] = useState(false);
  const [busy, submit] = useWork(() => (making ? register : signIn)(email.trim(), password, stay));
  const title = making ? t("entrance.create") : t("entrance.signIn");
  return html`
    <form class="entrance" onSubmit=${submit}>
      <h1>${title}</h1>
      <${Field} label=${t("field.email")} type="email" value=${email} change=${setEmail} required
        autocomplete="username" autocapitalize="none" spellcheck=${false} enterkeyhint="next" />
      <${PasswordField} label=${t("field.password")} value=${password} change=${setPassword} required
        minlength=${making ? 8 : undefined} enterkeyhint="go"
        autocomplete=${making ? "new-password" : "current-password"} hint=${making ? t("entrance.passwordHint") : ""} />
      <${Checkbox} label=${t("entrance.stay")} hint=${t("entrance.stayHint")} checked=${stay} change=${setStay} />
      <${Button} type="submit" class="primary" busy=${busy}>${busy ? t("entrance.opening") : title}<//>
      ${making
        ? html`<p><a href=${addressOf("sign-in")}>${t("entrance.haveAccount")}</a></p>`
        : html`<p><a href=${addressOf("create-account")}>${t("entrance.create")}</a></p>`}
    </form>
  `;
}

export function Unlock() {
  const { account, ended } = useStore(session, (value) => value);
  const [password, setPassword] = useState("");
  const [busy, submit] = useWork(() => unlock(password));
  return html`
    <form class="entrance" onSubmit=${submit}>
      <h1>${t("entrance.locked")}</h1>
      <p>${ended ? t("entrance.ended") : t("entrance.lockedHint")}</p>
      <p class="who">${account?.user.email}</p>
      <${PasswordField} label=${t("field.password")} value=${password} change=${setPassword} required
        autocomplete="current-password" enterkeyhint="go" />
      <${Button} type="submit" class="primary" busy=${busy}>${busy ? t("entrance.opening") : t("entrance.unlock")}<//>
      <p><button type="button" class="plain" onClick=${signOut}>${t("main.signOut")}</button></p>
    </form>
  `;
}
