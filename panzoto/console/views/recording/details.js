// Title and note, which the service keeps and cannot read.

import { LONGEST_NAME } from "../../library/names.js";
import { Button, Field } from "../../parts/fields.js";
import { announce, attempt } from "../../parts/messages.js";
import { describe } from "../../recordings/actions.js";
import { nameOf, useNames } from "../../recordings/titles.js";
import { useDraft } from "../../session/drafts.js";
import { number } from "../../texts/formats.js";
import { t } from "../../texts/index.js";
import { html, useRef, useState } from "../../ui.js";
import { NoteField } from "./note-field.js";

/** @import { Recording } from "../../recordings/known.js" */

const encoder = new TextEncoder();

/**
 * One of the two texts as it is typed. A text that does not open is not shown, and stays until another is
 * written.
 *
 * @param {"title" | "note"} what
 * @param {Recording} recording
 */
function useText(what, recording) {
  const { text: saved, closed } = nameOf(what, recording);
  const [typed, change, done] = useDraft(`${what}/${recording.file_id}`, saved);
  const text = what === "title" ? typed.replace(/\s+/gu, " ").trim() : typed.trimEnd();
  const over = encoder.encode(text).length - LONGEST_NAME;
  return {
    typed,
    change,
    done,
    /** What is to be written, or undefined where nothing was changed. */
    wanted: text === saved || (closed && text === "") ? undefined : text,
    fault: over > 0 ? t("recording.tooLong", { over: number(over) }) : "",
    hint: closed ? t(`recording.closed.${what}`) : "",
  };
}

/** @param {{ recording: Recording }} props */
export function Details({ recording }) {
  useNames();
  const title = useText("title", recording);
  const note = useText("note", recording);
  const [busy, setBusy] = useState(false);
  const form = useRef(/** @type {HTMLFormElement | null} */ (null));

  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (title.fault || note.fault) {
      /** @type {HTMLElement | null | undefined} */ (form.current?.querySelector("[aria-invalid]"))?.focus();
      return;
    }
    setBusy(true);
    const texts = { title: title.wanted, note: note.wanted };
    const changed = texts.title !== undefined || texts.note !== undefined;
    if (!changed || (await attempt(() => describe(recording, texts)))) {
      title.done(title.typed);
      note.done(note.typed);
      announce(t("recording.saved"));
    }
    setBusy(false);
  };

  return html`
    <form ref=${form} class="details" onSubmit=${save}>
      <${Field} label=${t("recording.title")} value=${title.typed} change=${title.change} dir="auto"
        enterkeyhint="done" autocomplete="off" fault=${title.fault} hint=${title.hint} />
      <${NoteField} label=${t("recording.note")} value=${note.typed} change=${note.change}
        fault=${note.fault} hint=${note.hint} />
      <${Button} type="submit" class="primary" busy=${busy}>${t("recording.save")}<//>
    </form>
  `;
}
