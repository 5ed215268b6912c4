// All recordings, newest first.

import { tell } from "../parts/messages.js";
import { addressOf } from "../router.js";
import { call } from "../session/session.js";
import { length, moment } from "../texts/formats.js";
import { t } from "../texts/index.js";
import { RecordButton, UploadButton } from "../uploading/buttons.js";
import { Uploads } from "../uploading/list.js";
import { html, useEffect, useState } from "../ui.js";

export function Recordings() {
  const [rows, setRows] = useState(/** @type {any[] | null} */ (null));
  useEffect(() => {
    call("GET", "/api/user/audio-files?limit=50").then(({ audio_files }) => setRows(audio_files), tell);
  }, []);
  return html`
    <h1>${t("recordings.title")}</h1>
    <div class="actions"><${RecordButton} /><${UploadButton} /></div>
    <${Uploads} />
    ${rows !== null && rows.length === 0 && html`<p>${t("recordings.empty")}</p>`}
    <ul class="rows" aria-label=${t("recordings.title")}>
      ${(rows ?? []).map((row) => html`
        <li key=${row.file_id} aria-label=${moment(row.recorded_at ?? row.uploaded_at)}>
          <a href=${addressOf("recording", row.file_id)}>${moment(row.recorded_at ?? row.uploaded_at)}</a>
          <span>${length(row.duration_ms)}</span>
        </li>
      `)}
    </ul>
  `;
}
