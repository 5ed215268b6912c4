// Correcting a transcript: every segment in a field of its own. What was typed outlives a lock, and a
// conflict.

import { Button } from "../parts/fields.js";
import { useDraft } from "../session/drafts.js";
import { length } from "../texts/formats.js";
import { t } from "../texts/index.js";
import { Component, html } from "../ui.js";
import { trimmed } from "./document.js";

/** @import { Correction } from "./correcting.js" */
/** @import { Segment } from "./document.js" */
/** @import { Transcript } from "./words-worker.js" */

/**
 * What was typed, by when the segment begins: another revision may have it at another place.
 *
 * @typedef {Record<string, string>} Typed
 *
 * @typedef {object} Corrections
 * @property {boolean} isTyped
 * @property {(segment: Segment) => string} textOf
 * @property {(segment: Segment, text: string) => void} change
 * @property {() => Correction[]} changes
 * @property {() => void} done
 */

/** @param {string} draft @returns {Typed} */
const typedIn = (draft) => (draft === "" ? {} : JSON.parse(draft));

/**
 * Typed texts, each at the segment that begins nearest to where it was typed.
 *
 * @param {Segment[]} segments
 * @param {Typed} typed
 */
function placed(segments, typed) {
  /** @type {Map<Segment, string>} */
  const texts = new Map();
  for (const [start, text] of Object.entries(typed)) {
    const distance = (/** @type {Segment} */ { start_ms }) => Math.abs(start_ms - Number(start));
    const [nearest] = [...segments].sort((one, other) => distance(one) - distance(other));
    if (nearest !== undefined) texts.set(nearest, text);
  }
  return texts;
}

/** @param {string} fileId @param {Transcript} transcript @returns {Corrections} */
export function useCorrections(fileId, { segments }) {
  const [draft, setDraft, done] = useDraft(`transcript/${fileId}`, "");
  const texts = placed(segments, typedIn(draft));
  return {
    isTyped: texts.size > 0,
    textOf: (segment) => texts.get(segment) ?? segment.text,
    change: (segment, text) => {
      const typed = Object.fromEntries([...texts].map(([one, was]) => [one.start_ms, was]));
      setDraft(JSON.stringify({ ...typed, [segment.start_ms]: text }));
    },
    changes: () =>
      [...texts]
        .filter(([segment, text]) => trimmed(text) !== segment.text)
        .map(([{ place }, text]) => ({ place, text })),
    done,
  };
}

/**
 * @param {{
 *   transcript: Transcript, corrections: Corrections, busy: boolean, save: () => void, discard: () => void,
 * }} props
 */
export function Editor({ transcript, corrections, busy, save, discard }) {
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    save();
  };
  return html`
    <form class="editor" onSubmit=${submit}>
      <ol class="segments" lang=${transcript.language ?? undefined}>
        ${transcript.segments.map((segment, number) => html`
          <${SegmentField} key=${segment.place} segment=${segment} first=${number === 0}
            text=${corrections.textOf(segment)} change=${corrections.change} />
        `)}
      </ol>
      <p class="quiet">${t("words.editHint")}</p>
      <div class="actions editor-actions">
        <button type="button" onClick=${discard}>${t("words.discard")}</button>
        <${Button} type="submit" class="primary" busy=${busy}>${t("words.save")}<//>
      </div>
    </form>
  `;
}

/** One segment's field; drawn anew only when its text is another. */
class SegmentField extends Component {
  /** @param {any} next */
  shouldComponentUpdate(next) {
    const { segment, text } = /** @type {any} */ (this).props;
    /** @type {any} */ (this).latest = next.change;
    return next.segment !== segment || next.text !== text;
  }

  /** @param {{ segment: Segment, text: string, first: boolean, change: Corrections["change"] }} props */
  render({ segment, text, first, change }) {
    /** @type {any} */ (this).latest ??= change;
    const at = length(segment.start_ms);
    const type = (/** @type {any} */ event) => /** @type {any} */ (this).latest(segment, event.target.value);
    return html`
      <li>
        <span class="segment-at" aria-hidden="true">${at}</span>
        <textarea rows="1" dir="auto" aria-label=${t("words.segmentAt", { at })} value=${text}
          autofocus=${first} onInput=${type}></textarea>
      </li>
    `;
  }
}
