// The region of what was said, beside the player: reading, following, correcting and taking it along.

import { account, vault } from "../session/session.js";
import { t } from "../texts/index.js";
import { html, useEffect } from "../ui.js";
import { Asking } from "./asking.js";
import { Clip } from "./clip.js";
import { consentKnown } from "./consent.js";

/** @import { Recording } from "../recordings/known.js" */

/**
 * The transcript of one recording, or of the clips of a sitting, the oldest first.
 *
 * @param {{ recordings: Recording[] }} props
 */
export function Transcript({ recordings }) {
  useEffect(() => {
    // Without an answer nothing can be asked for, and what is there can be read all the same.
    consentKnown().catch(() => {});
  }, [account().user_id]);
  const isForeign = vault().transcripts.foreign;
  const written = recordings.filter(({ transcript }) => transcript?.revision);
  // In the trash nothing can be asked for: without a transcript there is nothing to say.
  const isOver = recordings.every(({ deleted_at, transcript }) => deleted_at !== null && transcript?.status !== "queued");
  if (isOver && written.length === 0) return null;
  return html`
    <section class="transcript" aria-label=${t("words.transcript")}>
      <h2>${t("words.transcript")}</h2>
      ${isForeign
        ? html`<p class="said said-alert" role="alert">${t("account.foreign")}</p>`
        : html`
          ${written.map((recording) => html`
            <${Clip} key=${recording.file_id} recording=${recording} alone=${recordings.length === 1} />
          `)}
          <${Asking} recordings=${recordings} />
        `}
    </section>
  `;
}
