// What the account uses of what it may, and the upgrade of its old recordings.

import { Button, PasswordField } from "../../parts/fields.js";
import { Section } from "../../parts/section.js";
import { Countdown, useWork } from "../../parts/work.js";
import { useStore } from "../../store.js";
import { bytes, length, number } from "../../texts/formats.js";
import { t } from "../../texts/index.js";
import { html, useState } from "../../ui.js";
import { stopUpgrade, upgradeAll, upgrades } from "./upgrading.js";

/** @param {{ profile: import("../../session/profile.js").Profile | null }} props */
export function Storage({ profile }) {
  return html`
    <${Section} title=${t("account.storage")}>
      ${profile !== null && html`<${Usage} ...${profile.usage} />`}
      <${Upgrade} isEmpty=${profile?.usage.recordings === 0} />
    <//>
  `;
}

/** @param {import("../../session/profile.js").Profile["usage"]} props */
const Usage = ({ recordings, bytes: used, quota_recordings, quota_bytes }) => html`
  <div class="usage">
    <p id="usage-bytes">${t("account.usageBytes", { used: bytes(used), most: bytes(quota_bytes) })}</p>
    <meter aria-labelledby="usage-bytes" min="0" max=${quota_bytes} value=${used}></meter>
    <p id="usage-recordings">
      ${t("account.usageRecordings", { used: number(recordings), most: number(quota_recordings) })}
    </p>
    <meter aria-labelledby="usage-recordings" min="0" max=${quota_recordings} value=${recordings}></meter>
  </div>
`;

/** @param {{ isEmpty: boolean }} props `isEmpty`: there is nothing in the account that could be upgraded */
function Upgrade({ isEmpty }) {
  const [password, setPassword] = useState("");
  const { state, done, all, failed, wait } = useStore(upgrades, (value) => value);
  const work = useWork(async () => {
    const given = password;
    setPassword("");
    await upgradeAll(given);
  });
  if (state === "running") {
    return html`
      <p id="upgrading">${all === null ? t("account.upgradeLooking") : t("account.upgrading", { done, all })}</p>
      <progress aria-labelledby="upgrading" value=${all === null ? undefined : done} max=${all || 1}></progress>
      ${wait > 0 && html`<p class="countdown" role="timer">${t("account.upgradeWaits", { time: length(wait * 1000) })}</p>`}
      <p><button type="button" onClick=${stopUpgrade}>${t("account.upgradeStop")}</button></p>
    `;
  }
  if (isEmpty && state === "idle") return null;
  const over = state === "over" && html`<p class="hint" role="status">${t("account.upgraded", { done, failed })}</p>`;
  return html`
    <h3>${t("account.upgradeTitle")}</h3>
    <p>${t("account.upgradeHint")}</p>
    ${over}
    <form onSubmit=${work.submit}>
      <${PasswordField} label=${t("field.password")} value=${password} change=${setPassword} required
        autocomplete="current-password" enterkeyhint="go" />
      <${Button} type="submit" busy=${work.busy} off=${work.seconds > 0}>${t("account.upgradeAll")}<//>
      <${Countdown} ...${work} />
    </form>
  `;
}
