// One entry of the list: a recording, or a sitting with the clips it was recorded in.

import { whenChanged } from "../../parts/unchanged.js";
import { playAt } from "../../playing/current.js";
import { PlayIcon } from "../../playing/icons.js";
import { momentOf } from "../../recordings/known.js";
import { spokenLength } from "../../recordings/lengths.js";
import { headingOf, nameOf, useNames } from "../../recordings/titles.js";
import { addressOf, go } from "../../router.js";
import { day, length, moment, time } from "../../texts/formats.js";
import { t } from "../../texts/index.js";
import { later } from "../../later.js";
import { html } from "../../ui.js";

/** @import { Recording } from "../../recordings/known.js" */
/** @import { Sitting } from "../../recordings/sittings.js" */
/** @import { Line } from "./lines.js" */

const TranscriptState = later(async () => (await import("../../words/row-state.js")).TranscriptState, { patient: true });

/** An entry by those of its lines that are seen; `of` is how many entries there are, or -1. */
export const Entry = whenChanged((/** @type {{ lines: Line[], of: number }} */ { lines, of }) => {
  const [{ sitting, newDay, place, recording }] = lines;
  if (sitting === null && recording !== null) {
    return html`<${Row} recording=${recording} newDay=${newDay} place=${place} of=${of} />`;
  }
  return html`<${SittingEntry} sitting=${sitting} lines=${lines} of=${of} />`;
});

/** @param {{ at: number }} props */
const Day = ({ at }) => html`<h2 class="day">${day(new Date(at))}</h2>`;

const Row = whenChanged(DrawnRow);

/** @param {{ recording: Recording, place: number, of: number, newDay?: boolean }} props */
function DrawnRow({ recording, place, of, newDay = false }) {
  useNames();
  const at = momentOf(recording);
  const heading = headingOf(recording);
  const name = [heading || time(at), heading ? moment(at) : day(at), spokenLength(recording.duration_ms)];
  return html`
    <li aria-label=${name.join(", ")} aria-posinset=${place} aria-setsize=${of}>
      ${newDay && html`<${Day} at=${recording.at} />`}
      <div class="line">
        <a class="name" href=${addressOf("recording", recording.file_id)}>
          <bdi dir="auto">${heading || time(at)}</bdi>
        </a>
        <span class="length">${length(recording.duration_ms)}</span>
        <span class="about">
          ${heading && html`<span class="time">${time(at)}</span>`}
          <${Words} recording=${recording} />
        </span>
      </div>
    </li>
  `;
}

/** What the second line of a row says beside the time. @param {{ recording: Recording }} props */
function Words({ recording }) {
  const { closed } = nameOf("title", recording);
  return html`
    ${closed && html`<span>${t("recordings.closedTitle")}</span>`}
    <${TranscriptState} recording=${recording} />
  `;
}

/** Hear a sitting from its beginning, where all of it is shown. @param {Sitting} sitting */
function play({ fileId }) {
  playAt(fileId, 0);
  go("sitting", fileId);
}

/** @param {{ sitting: Sitting, lines: Line[], of: number }} props */
function SittingEntry({ sitting, lines, of }) {
  const [{ newDay, place }] = lines;
  const { clips } = sitting;
  const span = t("sitting.span", { from: time(sitting.startedAt), to: time(sitting.endedAt) });
  const many = t("sitting.clips", { clips: clips.length });
  const whole = `${moment(sitting.startedAt)}, ${many}, ${spokenLength(sitting.durationMs)}`;
  const hasHead = lines[0].recording === null;
  return html`
    <li class="sitting" aria-label=${`${span}, ${t("sitting.title")}, ${many}`}
      aria-posinset=${place} aria-setsize=${of}>
      ${newDay && html`<${Day} at=${clips[clips.length - 1].at} />`}
      <div role="group" aria-label=${`${t("sitting.title")}, ${whole}`}>
        ${hasHead && html`
          <div class="head">
            <p><a href=${addressOf("sitting", sitting.fileId)}>${t("sitting.title")}, ${span}</a>
              <small title=${t("sitting.why")}>${many}${sitting.durationMs !== null && ` · ${length(sitting.durationMs)}`}</small></p>
            <button type="button" aria-label=${t("sitting.play")} title=${t("sitting.play")}
              onClick=${() => play(sitting)}>
              <${PlayIcon} /><span>${t("sitting.play")}</span>
            </button>
          </div>
        `}
        <ul>
          ${lines.map(({ recording, clip }) => recording && html`
            <${Row} key=${recording.file_id} recording=${recording} place=${clip} of=${clips.length} />
          `)}
        </ul>
      </div>
    </li>
  `;
}
