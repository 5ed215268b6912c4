// One recording: hearing it, reading it, and what can be done with it.

import { useTabTitle } from "../../parts/tab-title.js";
import { Player } from "../../playing/player.js";
import { useRecording } from "../../recordings/asked-for.js";
import { momentOf } from "../../recordings/known.js";
import { spokenLength } from "../../recordings/lengths.js";
import { refreshSoon } from "../../recordings/store.js";
import { headingOf, titleOf, useNames } from "../../recordings/titles.js";
import { addressOf } from "../../router.js";
import { moment } from "../../texts/formats.js";
import { t } from "../../texts/index.js";
import { html, useEffect, useMemo } from "../../ui.js";
import { Transcript } from "../../words/transcript.js";
import { Details } from "./details.js";
import { Fate } from "./fate.js";
import { Nothing } from "./nothing.js";

/** @import { Recording } from "../../recordings/known.js" */

/** @param {{ id: string }} props */
export function RecordingView({ id }) {
  const { recording, missing, failure, again } = useRecording(id);
  useEffect(refreshSoon, []);
  if (recording === null) return html`<${Nothing} missing=${missing} failure=${failure} again=${again} />`;
  return html`<${Page} recording=${recording} />`;
}

/** @param {{ recording: Recording }} props */
function Page({ recording }) {
  useNames();
  const at = moment(momentOf(recording));
  useTabTitle(`${t("recording.one")}, ${at}`);
  const heard = useMemo(() => [recording], [recording]);
  return html`
    <article class="recording">
      <header>
        <p class="way-back"><a href=${addressOf("recordings")}>${t("recording.back")}</a></p>
        <h1><bdi dir="auto">${titleOf(recording)}</bdi></h1>
        <p class="facts">
          ${headingOf(recording) && html`<span>${at}</span>${" "}`}
          ${recording.duration_ms !== null && html`<span>${spokenLength(recording.duration_ms)}</span>`}
        </p>
      </header>
      ${recording.deleted_at !== null && html`
        <p class="said">${t("recording.inTrash", { time: moment(recording.deleted_at) })}</p>
      `}
      ${recording.status === "pending" && html`<p class="said">${t("recording.pending")}</p>`}
      ${recording.status !== "pending" && html`
        <div class="hearing"><${Player} recordings=${heard} /></div>
        <div class="reading"><${Transcript} recordings=${heard} /></div>
      `}
      <div class="describing">
        <${Details} key=${recording.file_id} recording=${recording} />
        <${Fate} recording=${recording} />
      </div>
    </article>
  `;
}
