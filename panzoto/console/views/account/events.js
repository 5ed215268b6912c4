// The security log, newest first, as the person reads it.

import { Button } from "../../parts/fields.js";
import { useLoading } from "../../parts/failure.js";
import { Section } from "../../parts/section.js";
import { useWork } from "../../parts/work.js";
import { call } from "../../session/session.js";
import { moment } from "../../texts/formats.js";
import { useStore } from "../../store.js";
import { t } from "../../texts/index.js";
import { html, useState } from "../../ui.js";
import { knowledge } from "../../words/engine.js";
import { sentenceOf } from "./event-words.js";

/** @typedef {import("./event-words.js").AccountEvent} AccountEvent */

const AT_ONCE = 20;

export function Events() {
  const [events, setEvents] = useState(/** @type {AccountEvent[]} */ ([]));
  const [cursor, setCursor] = useState(/** @type {string | null} */ (null));
  const load = async (/** @type {string | null} */ from) => {
    const after = from === null ? "" : `&cursor=${encodeURIComponent(from)}`;
    const { events: found, next_cursor } = await call("GET", `/api/user/events?limit=${AT_ONCE}${after}`);
    setEvents((before) => (from === null ? found : [...before, ...found]));
    setCursor(next_cursor);
  };
  useLoading(() => load(null));
  // The words for where a transcript was made depend on it.
  useStore(knowledge, ({ engine }) => engine);
  const more = useWork(() => load(cursor));
  return html`
    <${Section} title=${t("account.events")}>
      <p>${t("account.eventsHint")}</p>
      <ol class="rows events" aria-label=${t("account.events")}>
        ${events.map((event) => html`<${Row} key=${event.event_id} event=${event} />`)}
      </ol>
      ${cursor !== null && html`
        <p><${Button} busy=${more.busy} onClick=${() => more.submit()}>${t("account.olderEvents")}<//></p>
      `}
    <//>
  `;
}

/** @param {{ event: AccountEvent }} props */
function Row({ event }) {
  const { at, address, detail } = event;
  return html`
    <li>
      <div>
        <span>${sentenceOf(event)}</span>
        <small>
          <time datetime=${at}>${moment(at)}</time>
          ${detail.device_name && html` · <bdi>${detail.device_name}</bdi>`}
          ${address && ` · ${t("event.from", { address })}`}
          ${detail.by === "operator" && ` · ${t("event.byOperator")}`}
        </small>
      </div>
    </li>
  `;
}
