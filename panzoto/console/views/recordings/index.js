// All recordings, newest first, by day; what was recorded together stands together.

import { loadMore, recordings, tryAgain } from "../../recordings/store.js";
import { useStore } from "../../store.js";
import { later } from "../../later.js";
import { Failure } from "../../parts/failure.js";
import { useTabTitle } from "../../parts/tab-title.js";
import { t } from "../../texts/index.js";
import { RecordButton, UploadButton } from "../../uploading/buttons.js";
import { html, useEffect, useMemo } from "../../ui.js";
import { Entry } from "./entry.js";
import { entriesOf, listingOf, offsetsOf } from "./lines.js";
import { leftAt, useScrollKept } from "./scrolling.js";
import { useSeen } from "./seen.js";

/** @import { Recording } from "../../recordings/known.js" */

// So many lines before the end of what is known the next page is asked for.
const AHEAD = 40;

const Uploads = later(async () => (await import("../../uploading/list.js")).Uploads, { patient: true });

export function Recordings() {
  useTabTitle(t("recordings.title"));
  const { rows, whole, state, failure } = useStore(recordings, (value) => value);
  const empty = whole && rows.length === 0;
  const waiting = !whole && rows.length === 0 && state === "loading";
  return html`
    <div class="view-head">
      <h1>${t("recordings.title")}</h1>
      <div class="actions"><${RecordButton} /><${UploadButton} /></div>
    </div>
    <${Uploads} />
    ${failure !== null && html`<${Failure} failure=${failure} again=${tryAgain} />`}
    ${empty && html`<p class="empty">${t("recordings.empty")}</p>`}
    ${waiting && html`<p class="empty" role="status">${t("recordings.loading")}</p>`}
    <${List} rows=${rows} whole=${whole} />
  `;
}

/** @param {{ rows: Recording[], whole: boolean }} props */
function List({ rows, whole }) {
  const { lines, entries } = useMemo(() => listingOf(rows), [rows]);
  const offsets = useMemo(() => offsetsOf(lines), [lines]);
  const { list, seen } = useSeen(offsets, leftAt());
  useScrollKept(lines.length > 0);
  useEffect(() => {
    if (!whole && rows.length > 0 && seen.last + AHEAD >= lines.length) loadMore();
  }, [whole, seen.last, lines]);
  return html`
    <ul ref=${list} class="recordings" aria-label=${t("recordings.title")} hidden=${rows.length === 0}>
      ${entriesOf(lines.slice(seen.first, seen.last)).map((shown) => html`
        <${Entry} key=${keyOf(shown[0])} lines=${shown} of=${whole ? entries : -1} />
      `)}
    </ul>
  `;
}

/** @param {import("./lines.js").Line} line */
const keyOf = ({ sitting, recording }) => sitting?.fileId ?? recording?.file_id;
