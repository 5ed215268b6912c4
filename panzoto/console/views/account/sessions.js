// Where the account is signed in, and how to end that.

import { Button } from "../../parts/fields.js";
import { useLoading } from "../../parts/failure.js";
import { announce } from "../../parts/messages.js";
import { Section } from "../../parts/section.js";
import { useWork } from "../../parts/work.js";
import { call } from "../../session/session.js";
import { moment } from "../../texts/formats.js";
import { t } from "../../texts/index.js";
import { html, useState } from "../../ui.js";

/**
 * @typedef {{
 *   session_id: string, device_name: string, created_at: string, last_seen_at: string, current: boolean,
 * }} Listed
 */

export function Sessions() {
  const [sessions, setSessions] = useState(/** @type {Listed[] | null} */ (null));
  const load = async () => {
    const { sessions: found } = await call("GET", "/api/user/sessions");
    // This one first, then by when somebody was there.
    found.sort(
      (/** @type {Listed} */ one, /** @type {Listed} */ other) =>
        Number(other.current) - Number(one.current) || Date.parse(other.last_seen_at) - Date.parse(one.last_seen_at),
    );
    setSessions(found);
  };
  useLoading(load);
  const others = useWork(async () => {
    await call("POST", "/api/logout-others");
    announce(t("account.othersEnded"));
    await load();
  });
  const several = sessions !== null && sessions.some(({ current }) => !current);
  return html`
    <${Section} title=${t("account.sessions")}>
      <p>${t("account.sessionsHint")}</p>
      <ul class="rows" aria-label=${t("account.sessions")}>
        ${(sessions ?? []).map((one) => html`<${Row} key=${one.session_id} session=${one} reload=${load} />`)}
      </ul>
      ${several && html`
        <p><${Button} busy=${others.busy} onClick=${() => others.submit()}>${t("account.endOthers")}<//></p>
      `}
    <//>
  `;
}

/** @param {{ session: Listed, reload: () => Promise<void> }} props */
function Row({ session, reload }) {
  const { session_id, device_name, created_at, last_seen_at, current } = session;
  const work = useWork(async () => {
    await call("DELETE", `/api/user/sessions/${session_id}`);
    announce(t("account.sessionEnded", { device: device_name }));
    await reload();
  });
  const id = `session-${session_id}`;
  return html`
    <li aria-labelledby=${id}>
      <div>
        <strong id=${id} dir="auto">${device_name}</strong>
        <small>${t("account.sessionTimes", { since: moment(created_at), seen: moment(last_seen_at) })}</small>
      </div>
      ${current
        ? html`<span class="mark">${t("account.thisSession")}</span>`
        : html`
          <${Button} busy=${work.busy} aria-describedby=${id} onClick=${() => work.submit()}>${t("account.endSession")}<//>
        `}
    </li>
  `;
}
