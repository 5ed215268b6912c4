// Another password; everything opens with it, and every other session ends.

import { Button, PasswordField } from "../../parts/fields.js";
import { announce } from "../../parts/messages.js";
import { Section } from "../../parts/section.js";
import { Countdown, useWork } from "../../parts/work.js";
import { account, changePassword } from "../../session/session.js";
import { t } from "../../texts/index.js";
import { html, useState } from "../../ui.js";
import { NewPassword } from "../entrance/fields.js";

export function Password() {
  const [password, setPassword] = useState("");
  const [next, setNext] = useState("");
  const work = useWork(async () => {
    await changePassword(password, next);
    setPassword("");
    setNext("");
    announce(t("account.passwordChanged"));
  });
  return html`
    <${Section} title=${t("account.passwordTitle")}>
      <p>${t("account.passwordHint")}</p>
      <form onSubmit=${work.submit}>
        <input type="email" autocomplete="username" value=${account().user.email} readonly hidden />
        <${PasswordField} label=${t("field.presentPassword")} value=${password} change=${setPassword} required
          autocomplete="current-password" enterkeyhint="next" />
        <${NewPassword} value=${next} change=${setNext} />
        <${Button} type="submit" busy=${work.busy} off=${work.seconds > 0}>${t("account.changePassword")}<//>
        <${Countdown} ...${work} />
      </form>
    <//>
  `;
}
