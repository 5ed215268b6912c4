// Getting back in with the recovery key, under a new password.

import { AccountError } from "../../library/errors.js";
import { parseRecoveryKey } from "../../library/recovery-key.js";
import { announce, explain } from "../../parts/messages.js";
import { useWork } from "../../parts/work.js";
import { addressOf, goInstead } from "../../router.js";
import { recover } from "../../session/session.js";
import { noteProvenKey } from "../../session/unproven-key.js";
import { t } from "../../texts/index.js";
import { html, useState } from "../../ui.js";
import { EmailField, NewPassword, RecoveryKeyField, Stay } from "./fields.js";
import { Form } from "./form.js";
import { tellIfNotKept, typed } from "./typed.js";

export function Recover() {
  const [key, setKey] = useState("");
  const [fault, setFault] = useState("");
  const [password, setPassword] = useState("");
  const work = useWork(async () => {
    setFault("");
    try {
      // A slip of the pen is found here, and costs no attempt.
      await parseRecoveryKey(key);
    } catch (error) {
      if (error instanceof AccountError) setFault(explain(error).text);
      throw error;
    }
    const { email, stay } = typed.get();
    await recover({ email: email.trim(), recovery_key: key.trim(), new_password: password }, stay);
    // Whoever came in with it has it.
    await noteProvenKey();
    goInstead("recordings");
    tellIfNotKept();
    announce(t("entrance.recovered"));
  });
  return html`
    <${Form} title=${t("entrance.recover")} button=${t("entrance.recover")} work=${work} beside=${html`
      <a href=${addressOf("sign-in")}>${t("entrance.signIn")}</a>
      <a href=${addressOf("forgot")}>${t("entrance.noRecoveryKey")}</a>
    `}>
      <p>${t("entrance.recoverHint")}</p>
      <${EmailField} />
      <${RecoveryKeyField} value=${key} change=${setKey} fault=${fault} />
      <${NewPassword} value=${password} change=${setPassword} />
      <${Stay} />
    <//>
  `;
}
