// The end of an account, which needs a word that nobody types by accident.

import { Button, Field, PasswordField } from "../../parts/fields.js";
import { announce } from "../../parts/messages.js";
import { Section } from "../../parts/section.js";
import { Countdown, useWork } from "../../parts/work.js";
import { deleteAccount } from "../../session/session.js";
import { t } from "../../texts/index.js";
import { html, useState } from "../../ui.js";

export function Deletion() {
  const [password, setPassword] = useState("");
  const [word, setWord] = useState("");
  const [fault, setFault] = useState("");
  const wanted = t("account.deleteWord");
  const work = useWork(async () => {
    if (word.trim() !== wanted) return setFault(t("account.deleteWordMissing", { word: wanted }));
    setFault("");
    await deleteAccount(password);
    announce(t("account.deleted"));
  });
  return html`
    <${Section} title=${t("account.deletion")} class="ending">
      <p>${t("account.deleteHint")}</p>
      <form onSubmit=${work.submit}>
        <${PasswordField} label=${t("field.password")} value=${password} change=${setPassword} required
          autocomplete="current-password" enterkeyhint="next" />
        <${Field} label=${t("account.typeWord", { word: wanted })} value=${word} change=${setWord} required fault=${fault}
          autocomplete="off" autocapitalize="characters" autocorrect=${false} spellcheck=${false} enterkeyhint="go" />
        <${Button} type="submit" class="danger" busy=${work.busy} off=${work.seconds > 0}>${t("account.delete")}<//>
        <${Countdown} ...${work} />
      </form>
    <//>
  `;
}
