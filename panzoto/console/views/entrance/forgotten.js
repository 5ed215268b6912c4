// A forgotten password: a letter with a link, or a code, for a new one.

import { useWork } from "../../parts/work.js";
import { addressOf } from "../../router.js";
import { callOpen } from "../../session/session.js";
import { t } from "../../texts/index.js";
import { html, useState } from "../../ui.js";
import { EmailField } from "./fields.js";
import { Form } from "./form.js";
import { typed } from "./typed.js";

export function Forgotten() {
  const [sentTo, setSentTo] = useState("");
  const work = useWork(async () => {
    const email = typed.get().email.trim();
    await callOpen("POST", "/api/password/forgot", { email });
    setSentTo(email);
  });
  return html`
    <${Form} title=${t("entrance.forgotten")} button=${t("entrance.sendEmail")} working=${t("entrance.sending")}
      work=${work} beside=${html`
        <a href="/reset">${t("entrance.haveCode")}</a>
        <a href=${addressOf("recover")}>${t("entrance.useRecoveryKey")}</a>
        <a href=${addressOf("sign-in")}>${t("entrance.signIn")}</a>
      `}>
      <p>${t("entrance.forgottenHint")}</p>
      <${EmailField} enterkeyhint="send" />
      <p role="status" class=${sentTo ? "said" : "unseen"}>${sentTo && t("entrance.sent", { email: sentTo })}</p>
    <//>
  `;
}
