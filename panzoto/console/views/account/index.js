// The account: who is signed in where, what happened, its password, address and recovery key, and how to leave.

import { useLoading } from "../../parts/failure.js";
import { useTabTitle } from "../../parts/tab-title.js";
import { profile, refreshProfile } from "../../session/profile.js";
import { useStore } from "../../store.js";
import { t } from "../../texts/index.js";
import { html } from "../../ui.js";
import { Deletion } from "./deletion.js";
import { Email } from "./email.js";
import { Events } from "./events.js";
import { Export } from "./export.js";
import { Password } from "./password.js";
import { RecoveryKeySection } from "./recovery-key.js";
import { Sessions } from "./sessions.js";
import { Storage } from "./storage.js";
import { Transcription } from "./transcription.js";

export function Account() {
  useTabTitle(t("main.account"));
  const now = useStore(profile, (value) => value.now);
  useLoading(refreshProfile);
  return html`
    <div class="account narrow">
      <h1>${t("account.title")}</h1>
      <${Password} />
      <${Email} profile=${now} />
      <${RecoveryKeySection} profile=${now} />
      <${Sessions} />
      <${Storage} profile=${now} />
      <${Transcription} />
      <${Export} />
      <${Events} />
      <${Deletion} />
      <${Release} />
    </div>
  `;
}

/** Which release this page is of, to be compared with what was released. */
function Release() {
  const meta = /** @type {HTMLMetaElement | null} */ (document.querySelector("meta[name=panzoto-release]"));
  return html`<p class="release"><small>${t("account.release")} <code translate="no">${meta?.content}</code></small></p>`;
}
