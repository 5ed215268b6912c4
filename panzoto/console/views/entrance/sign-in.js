// Signing in, for who has an account.

import { ServiceError } from "../../library/errors.js";
import { useWork } from "../../parts/work.js";
import { addressOf, goInstead, route } from "../../router.js";
import { signIn } from "../../session/session.js";
import { t } from "../../texts/index.js";
import { html, useState } from "../../ui.js";
import { EmailField, KnownPassword, Stay } from "./fields.js";
import { Form } from "./form.js";
import { tellIfNotKept, typed } from "./typed.js";

/** Leave the entrance's address; where another view was asked for, that one is shown. */
export function enterAt(/** @type {string} */ view) {
  if (ENTRANCE.has(route.get().view)) goInstead(view);
}

const ENTRANCE = new Set(["sign-in", "create-account", "recover", "forgot"]);

export function SignIn() {
  const [password, setPassword] = useState("");
  const [refused, setRefused] = useState(false);
  const work = useWork(async () => {
    const { email, stay } = typed.get();
    try {
      await signIn(email.trim(), password, stay);
    } catch (error) {
      setRefused(error instanceof ServiceError && error.code === "invalid_credentials");
      throw error;
    }
    enterAt("recordings");
    tellIfNotKept();
  });
  return html`
    <${Form} title=${t("entrance.signIn")} button=${t("entrance.signIn")} work=${work} beside=${html`
      <a href=${addressOf("forgot")}>${t("entrance.forgot")}</a>
      <a href=${addressOf("recover")}>${t("entrance.useRecoveryKey")}</a>
      <a href=${addressOf("create-account")} class="button">${t("entrance.create")}</a>
    `}>
      <p>${t("entrance.what")}</p>
      <${EmailField} />
      <${KnownPassword} value=${password} change=${setPassword} />
      <${Stay} />
      ${refused && html`
        <details>
          <summary>${t("entrance.providerQuestion")}</summary>
          <p>${t("entrance.provider")}</p>
        </details>
      `}
    <//>
  `;
}
