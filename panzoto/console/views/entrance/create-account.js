// Making an account. What it is good for stands here too: who comes for the first time has read nothing else.

import { ServiceError } from "../../library/errors.js";
import { useWork } from "../../parts/work.js";
import { addressOf, goInstead } from "../../router.js";
import { register } from "../../session/session.js";
import { t } from "../../texts/index.js";
import { html, useState } from "../../ui.js";
import { remember } from "../recovery-key/password.js";
import { EmailField, NewPassword, Stay } from "./fields.js";
import { Form } from "./form.js";
import { tellIfNotKept, typed } from "./typed.js";

export function CreateAccount() {
  const [password, setPassword] = useState("");
  const [taken, setTaken] = useState("");
  const work = useWork(async () => {
    const { email, stay } = typed.get();
    try {
      await register(email.trim(), password, stay);
    } catch (error) {
      const exists = error instanceof ServiceError && error.code === "user_exists";
      setTaken(exists ? t("service.user_exists") : "");
      throw error;
    }
    remember(password);
    goInstead("recovery-key");
    tellIfNotKept();
  });
  return html`
    <${Form} title=${t("entrance.create")} button=${t("entrance.create")} work=${work} beside=${html`
      <a href=${addressOf("sign-in")}>${t("entrance.haveAccount")}</a>
    `}>
      <p>${t("entrance.what")}</p>
      <${EmailField} fault=${taken} />
      <${NewPassword} label=${t("field.password")} value=${password} change=${setPassword} />
      <${Stay} />
    <//>
  `;
}
