// The address of the account: whether it is confirmed, and another one.

import { Button, Field, PasswordField } from "../../parts/fields.js";
import { announce } from "../../parts/messages.js";
import { Section } from "../../parts/section.js";
import { Countdown, useWork } from "../../parts/work.js";
import { refreshProfile } from "../../session/profile.js";
import { account, call, callOpen } from "../../session/session.js";
import { t } from "../../texts/index.js";
import { html, useState } from "../../ui.js";

/** @typedef {import("../../session/profile.js").Profile} Profile */

const ONCE = { attempts: 1 };

/** @param {{ profile: Profile | null }} props */
export function Email({ profile }) {
  return html`
    <${Section} title=${t("account.email")}>
      <p>${t("account.emailNow", { email: profile?.email ?? account().user.email })}</p>
      ${profile !== null && !profile.email_verified && html`<${Unconfirmed} />`}
      ${profile?.pending_email && html`<p class="hint">${t("account.emailPending", { email: profile.pending_email })}</p>`}
      ${profile !== null && (!profile.email_verified || profile.pending_email) && html`<${EnterCode} />`}
      <${ChangeEmail} />
    <//>
  `;
}

function Unconfirmed() {
  const work = useWork(async () => {
    await call("POST", "/api/user/verify-email", undefined, ONCE);
    announce(t("account.emailSent"));
    await refreshProfile();
  });
  return html`
    <p class="hint">${t("account.emailUnconfirmed")}</p>
    <p>
      <${Button} busy=${work.busy} off=${work.seconds > 0} onClick=${() => work.submit()}>${t("account.emailAgain")}<//>
    </p>
    <${Countdown} ...${work} />
  `;
}

/** For the code from an email, which holds no link where the service does not know its own address. */
function EnterCode() {
  const [code, setCode] = useState("");
  const work = useWork(async () => {
    await callOpen("POST", "/api/verify-email", { code: code.trim() });
    setCode("");
    const now = await refreshProfile();
    announce(t("account.emailConfirmed", { email: now?.email ?? account().user.email }));
  });
  return html`
    <form onSubmit=${work.submit}>
      <${Field} label=${t("field.code")} value=${code} change=${setCode} required autocomplete="one-time-code"
        autocapitalize="none" autocorrect=${false} spellcheck=${false} enterkeyhint="go" />
      <${Button} type="submit" busy=${work.busy} off=${work.seconds > 0}>${t("letters.confirm")}<//>
      <${Countdown} ...${work} />
    </form>
  `;
}

function ChangeEmail() {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const work = useWork(async () => {
    await call("POST", "/api/user/email", { email: email.trim(), password }, ONCE);
    setEmail("");
    setPassword("");
    const now = await refreshProfile();
    announce(t(now?.pending_email ? "account.emailAsked" : "account.emailIsNow", { email: now?.pending_email ?? now?.email ?? "" }));
  });
  return html`
    <form onSubmit=${work.submit}>
      <${Field} label=${t("field.newEmail")} type="email" value=${email} change=${setEmail} required maxlength="254"
        autocomplete="email" autocapitalize="none" autocorrect=${false} spellcheck=${false} enterkeyhint="next" />
      <${PasswordField} label=${t("field.password")} value=${password} change=${setPassword} required
        autocomplete="current-password" enterkeyhint="go" />
      <${Button} type="submit" busy=${work.busy} off=${work.seconds > 0}>${t("account.changeEmail")}<//>
      <${Countdown} ...${work} />
    </form>
  `;
}
