// What becomes of a recording: saved to a file, upgraded, thrown away, and had back.

import { Button } from "../../parts/fields.js";
import { announce, attempt } from "../../parts/messages.js";
import { downloadRecording } from "../../playing/downloads.js";
import { askPassword } from "../../playing/password.js";
import { found, upgraded } from "../../playing/sounds.js";
import { isOld, moveToTrash, restore } from "../../recordings/actions.js";
import { headingOf } from "../../recordings/titles.js";
import { useStore } from "../../store.js";
import { bytes } from "../../texts/formats.js";
import { t } from "../../texts/index.js";
import { html, useState } from "../../ui.js";
import { EraseButton } from "./erase.js";

/** @import { Recording } from "../../recordings/known.js" */

/**
 * Hold a button's work: whether it goes on, and how to begin it; what went well is said, where there is a
 * word for it.
 */
function useAction(/** @type {() => Promise<unknown>} */ work, said = "") {
  const [busy, setBusy] = useState(false);
  const begin = async () => {
    setBusy(true);
    if ((await attempt(work)) && said) announce(said);
    setBusy(false);
  };
  return /** @type {const} */ ([busy, begin]);
}

/** @param {{ recording: Recording }} props */
export function Fate({ recording }) {
  const trashed = recording.deleted_at !== null;
  const arrived = recording.status !== "pending";
  // The service knows it once it has opened a recording; the player sees it in the first bytes.
  const isNew = useStore(found, (kinds) => kinds[recording.file_id] === "v2") || recording.format === "v2";
  return html`
    <section class="fate" aria-label=${t("recording.actions")}>
      <div class="actions">
        ${arrived && html`<${DownloadButton} recording=${recording} />`}
        ${isOld(recording) && html`<${UpgradeButton} recording=${recording} />`}
        ${trashed
          ? html`<${RestoreButton} recording=${recording} /> <${EraseButton} recording=${recording} />`
          : arrived && html`<${TrashButton} recording=${recording} />`}
      </div>
      <p><small>${factsOf(recording, isNew).join(" · ")}</small></p>
    </section>
  `;
}

/** What is known of it, in words. @param {Recording} recording @param {boolean} isNew */
function factsOf(recording, isNew) {
  const { content_type, file_size } = recording;
  const facts = [];
  if (content_type !== null) facts.push(content_type);
  if (file_size !== null) facts.push(bytes(file_size));
  if (isNew) facts.push(t("recording.new"));
  if (isOld(recording)) facts.push(t("recording.old"));
  return facts;
}

/** @param {{ recording: Recording }} props */
function DownloadButton({ recording }) {
  const [busy, begin] = useAction(() => downloadRecording(recording, headingOf(recording)));
  return html`<${Button} busy=${busy} onClick=${begin}>${t("recording.download")}<//>`;
}

/** @param {{ recording: Recording }} props */
function UpgradeButton({ recording }) {
  const begin = async () => {
    const open = (/** @type {string} */ password) => upgraded(recording, password);
    const done = await askPassword(t("recording.upgradeWhy"), { open });
    if (done !== null) announce(t("recording.upgraded"));
  };
  return html`<button type="button" onClick=${begin}>${t("recording.upgrade")}</button>`;
}

/** @param {{ recording: Recording }} props */
function TrashButton({ recording }) {
  const [busy, begin] = useAction(() => moveToTrash(recording), t("recording.trashed"));
  return html`<${Button} busy=${busy} onClick=${begin}>${t("recording.trash")}<//>`;
}

/** @param {{ recording: Recording, describedBy?: string }} props */
export function RestoreButton({ recording, describedBy }) {
  const [busy, begin] = useAction(() => restore(recording), t("recording.restored"));
  return html`
    <${Button} busy=${busy} onClick=${begin} aria-describedby=${describedBy}>${t("recording.restore")}<//>
  `;
}
