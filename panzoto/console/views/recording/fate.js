// What becomes of a recording: trash, and what leads out of it.

import { Button } from "../../parts/fields.js";
import { announce, attempt } from "../../parts/messages.js";
import { isOld, moveToTrash, restore } from "../../recordings/actions.js";
import { bytes } from "../../texts/formats.js";
import { t } from "../../texts/index.js";
import { html, useState } from "../../ui.js";
import { EraseButton } from "./erase.js";

/** @import { Recording } from "../../recordings/known.js" */

/** Hold a button's work: whether it goes on, and how to begin it; what went well is said. */
function useAction(/** @type {() => Promise<void>} */ work, /** @type {string} */ said) {
  const [busy, setBusy] = useState(false);
  const begin = async () => {
    setBusy(true);
    if (await attempt(work)) announce(said);
    setBusy(false);
  };
  return /** @type {const} */ ([busy, begin]);
}

/** @param {{ recording: Recording }} props */
export function Fate({ recording }) {
  const trashed = recording.deleted_at !== null;
  return html`
    <section class="fate" aria-label=${t("recording.actions")}>
      <div class="actions">
        ${trashed
          ? html`<${RestoreButton} recording=${recording} /> <${EraseButton} recording=${recording} />`
          : html`<${TrashButton} recording=${recording} />`}
      </div>
      <p><small>${factsOf(recording).join(" · ")}</small></p>
    </section>
  `;
}

/** @param {Recording} recording */
function factsOf({ file_size, content_type, format }) {
  const facts = [];
  if (content_type !== null) facts.push(content_type);
  if (file_size !== null) facts.push(bytes(file_size));
  if (format !== null) facts.push(isOld(/** @type {Recording} */ ({ format })) ? t("recording.old") : t("recording.new"));
  return facts;
}

/** @param {{ recording: Recording }} props */
function TrashButton({ recording }) {
  const [busy, begin] = useAction(() => moveToTrash(recording), t("recording.trashed"));
  return html`<${Button} busy=${busy} onClick=${begin}>${t("recording.trash")}<//>`;
}

/** @param {{ recording: Recording, describedBy?: string }} props */
export function RestoreButton({ recording, describedBy }) {
  const [busy, begin] = useAction(() => restore(recording), t("recording.restored"));
  return html`<${Button} busy=${busy} onClick=${begin} aria-describedby=${describedBy}>${t("recording.restore")}<//>`;
}
