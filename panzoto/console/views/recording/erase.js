// Erasing for good asks first, since nothing brings a recording back.

import { Dialog } from "../../parts/dialog.js";
import { Button } from "../../parts/fields.js";
import { announce, attempt } from "../../parts/messages.js";
import { erase } from "../../recordings/actions.js";
import { titleOf } from "../../recordings/titles.js";
import { t } from "../../texts/index.js";
import { html, useState } from "../../ui.js";

/** @import { Recording } from "../../recordings/known.js" */

/**
 * @param {{ recording: Recording, describedBy?: string, erased?: () => void }} props `erased` is told once it
 *   is gone
 */
export function EraseButton({ recording, describedBy, erased = () => {} }) {
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const begin = async () => {
    setBusy(true);
    const gone = await attempt(() => erase(recording));
    setBusy(false);
    setAsking(false);
    if (!gone) return;
    announce(t("recording.erased"));
    erased();
  };
  return html`
    <button type="button" class="danger" aria-describedby=${describedBy} onClick=${() => setAsking(true)}>
      ${t("recording.erase")}
    </button>
    ${asking && html`
      <${Dialog} title=${t("recording.eraseQuestion")} question close=${() => setAsking(false)}>
        <p><bdi dir="auto">${titleOf(recording)}</bdi></p>
        <p>${t("recording.eraseHint")}</p>
        <div class="actions">
          <button type="button" onClick=${() => setAsking(false)}>${t("recording.keep")}</button>
          <${Button} class="danger" busy=${busy} onClick=${begin}>${t("recording.erase")}<//>
        </div>
      <//>
    `}
  `;
}
