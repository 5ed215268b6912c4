// Title and note, which the service keeps and cannot read.

import { LONGEST_NAME } from "../../library/names.js";
import { Button, Field } from "../../parts/fields.js";
import { announce, attempt, tell } from "../../parts/messages.js";
import { asItIsNow, describe } from "../../recordings/actions.js";
import { nameOf, openedName, useNames } from "../../recordings/titles.js";
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

  // What is saved goes over what stood there when it was typed, and over nothing else unsaid.
  const before = useRef({ title: recording.title, note: recording.note });
  if (title.wanted === undefined) before.current.title = recording.title;
  if (note.wanted === undefined) before.current.note = recording.note;
  const isChanged = async () => {
    if (title.wanted === undefined && note.wanted === undefined) return false;
    const { title: was, note: wasNote } = before.current;
    const now = await asItIsNow(recording);
    const isOther = (title.wanted !== undefined && now.title !== was) || (note.wanted !== undefined && now.note !== wasNote);
    before.current = { title: now.title, note: now.note };
    if (!isOther) return false;
    const other = { title: await openedName("title", now), note: await openedName("note", now) };
    tell(t("recording.changedElsewhere", { title: other.title ?? "–", note: other.note ?? "–" }));
    return true;
  };

  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (title.fault || note.fault) {
      /** @type {HTMLElement | null | undefined} */ (form.current?.querySelector("[aria-invalid]"))?.focus();
      return;
    }
    setBusy(true);
    let isOther = false;
    const looked = await attempt(async () => void (isOther = await isChanged()));
    if (!looked || isOther) return setBusy(false);
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
    <form ref=${form} class="details" aria-labelledby="details-of" onSubmit=${save}>
      <h2 id="details-of">${t("recording.details")}</h2>
      <${Field} label=${t("recording.title")} value=${title.typed} change=${title.change} dir="auto"
        enterkeyhint="done" autocomplete="off" fault=${title.fault} hint=${title.hint} />
      <${NoteField} label=${t("recording.note")} value=${note.typed} change=${note.change}
        fault=${note.fault} hint=${note.hint} />
      <${Button} type="submit" class="primary" busy=${busy} aria-describedby="details-of">${t("recording.save")}<//>
    </form>
  `;
}
