// A conversation that was recorded in several clips, heard and read as one.

import { useTabTitle } from "../parts/tab-title.js";
import { Player } from "../playing/player.js";
import { momentOf } from "../recordings/known.js";
import { sittingOf } from "../recordings/sittings.js";
import { loadMore, recordings, refreshSoon } from "../recordings/store.js";
import { headingOf, useNames } from "../recordings/titles.js";
import { addressOf } from "../router.js";
import { useStore } from "../store.js";
import { day, length, moment, time } from "../texts/formats.js";
import { t } from "../texts/index.js";
import { html, useEffect } from "../ui.js";
import { Transcript } from "../words/transcript.js";
import { Nothing } from "./recording/nothing.js";

/** @import { Recording } from "../recordings/known.js" */
/** @import { Sitting } from "../recordings/sittings.js" */

/** @param {{ id: string }} props `id`: the file_id of its first clip */
export function SittingView({ id }) {
  const { rows, whole, failure } = useStore(recordings, (value) => value);
  const sitting = sittingOf(rows, id);
  // What came since the list was asked for may be part of it, or all of it.
  useEffect(refreshSoon, []);
  useEffect(() => {
    if (sitting === null && !whole) loadMore();
  }, [rows]);
  if (sitting === null) return html`<${Nothing} missing=${whole} failure=${failure} again=${loadMore} />`;
  return html`<${Page} sitting=${sitting} />`;
}

/** @param {{ sitting: Sitting }} props */
function Page({ sitting }) {
  const span = t("sitting.span", { from: time(sitting.startedAt), to: time(sitting.endedAt) });
  // A sum that leaves one out contradicts the player, which finds out how long each is.
  const isKnown = sitting.clips.every(({ duration_ms }) => duration_ms !== null);
  useTabTitle(`${t("sitting.title")}, ${day(sitting.startedAt)}, ${span}`);
  return html`
    <article class="recording">
      <header>
        <p class="way-back"><a href=${addressOf("recordings")}>${t("recording.back")}</a></p>
        <h1>${t("sitting.title")}, ${span}</h1>
        <p class="facts"><span>${day(sitting.startedAt)}</span>
          <span>${t("sitting.clips", { clips: sitting.clips.length })}</span>
          ${isKnown && html`<span>${length(sitting.durationMs)}</span>`}</p>
        <p class="quiet">${t("sitting.why")}</p>
      </header>
      <div class="hearing"><${Player} recordings=${sitting.clips} /></div>
      <div class="reading"><${Transcript} recordings=${sitting.clips} /></div>
      <section class="describing clips">
        <h2>${t("sitting.ofClips")}</h2>
        <ol>${sitting.clips.map((clip) => html`<${Clip} key=${clip.file_id} recording=${clip} />`)}</ol>
      </section>
    </article>
  `;
}

/** @param {{ recording: Recording }} props */
function Clip({ recording }) {
  useNames();
  const at = momentOf(recording);
  return html`
    <li>
      <a href=${addressOf("recording", recording.file_id)}>
        <bdi dir="auto">${headingOf(recording) || moment(at)}</bdi>
      </a>
      <span class="length">${length(recording.duration_ms)}</span>
    </li>
  `;
}
