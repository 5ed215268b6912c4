// Correcting a transcript: every segment in a field of its own. What was typed outlives a lock, and a
// conflict.

import { Button } from "../parts/fields.js";
import { useDraft } from "../session/drafts.js";
import { length } from "../texts/formats.js";
import { t } from "../texts/index.js";
import { Component, html } from "../ui.js";
import { Lines } from "./blocks.js";
import { trimmed } from "./document.js";

/** @import { Correction } from "./correcting.js" */
/** @import { Segment } from "./document.js" */
/** @import { Transcript } from "./words-worker.js" */

/**
 * What was typed, by when the segment begins, and where several do then, which of them: `2000`, `2000/1`. Another
 * revision may have it at another place.
 *
 * @typedef {Record<string, string>} Typed
 *
 * @typedef {object} Corrections
 * @property {boolean} isTyped
 * @property {(segment: Segment) => string} textOf
 * @property {(segment: Segment, text: string) => void} change
 * @property {() => Correction[]} changes
 * @property {string} draft all that was typed
 * @property {(written: string) => void} saved that draft was written: what was typed since stays
 * @property {() => void} done
 */

/** @param {string} draft @returns {Typed} */
const typedIn = (draft) => (draft === "" ? {} : JSON.parse(draft));

/** Of each list of segments, how drafts call them. @type {WeakMap<Segment[], Map<string, Segment>>} */
const nameLists = new WeakMap();

/** How drafts call each segment. @param {Segment[]} segments in order of `start_ms` @returns {Map<string, Segment>} */
function named(segments) {
  const known = nameLists.get(segments);
  if (known !== undefined) return known;
  /** @type {Map<string, Segment>} */
  const names = new Map();
  let among = 0;
  segments.forEach((segment, number) => {
    among = segments[number - 1]?.start_ms === segment.start_ms ? among + 1 : 0;
    names.set(among === 0 ? String(segment.start_ms) : `${segment.start_ms}/${among}`, segment);
  });
  nameLists.set(segments, names);
  return names;
}

/**
 * Typed texts, each at its segment, or where another revision has none there, at the one that begins nearest.
 *
 * @param {Segment[]} segments
 * @param {Typed} typed
 */
function placed(segments, typed) {
  /** @type {Map<Segment, string>} */
  const texts = new Map();
  if (Object.keys(typed).length === 0) return texts;
  const names = named(segments);
  for (const [name, text] of Object.entries(typed)) {
    const place = names.get(name) ?? nearest(segments, parseFloat(name));
    if (place !== null) texts.set(place, text);
  }
  return texts;
}

/** @param {Segment[]} segments @param {number} start @returns {Segment | null} */
function nearest(segments, start) {
  const distance = (/** @type {Segment} */ { start_ms }) => Math.abs(start_ms - start);
  return segments.reduce(
    (found, segment) => (found === null || distance(segment) < distance(found) ? segment : found),
    /** @type {Segment | null} */ (null),
  );
}

/** @param {string} fileId @param {Transcript} transcript @returns {Corrections} */
export function useCorrections(fileId, { segments }) {
  const [draft, setDraft, done] = useDraft(`transcript/${fileId}`, "");
  const texts = placed(segments, typedIn(draft));
  return {
    isTyped: texts.size > 0,
    textOf: (segment) => texts.get(segment) ?? segment.text,
    change: (segment, text) => {
      const all = new Map(texts).set(segment, text);
      const typed = [...named(segments)].filter(([, one]) => all.has(one)).map(([name, one]) => [name, all.get(one)]);
      setDraft(JSON.stringify(Object.fromEntries(typed)));
    },
    changes: () =>
      [...texts]
        .filter(([segment, text]) => trimmed(text) !== segment.text)
        .map(([{ place }, text]) => ({ place, text })),
    draft,
    saved: (written) => {
      const before = typedIn(written);
      const since = Object.entries(typedIn(draft)).filter(([name, text]) => before[name] !== text);
      if (since.length === 0) done();
      else setDraft(JSON.stringify(Object.fromEntries(since)));
    },
    done: () => done(),
  };
}

/**
 * @param {{
 *   fileId: string, transcript: Transcript, corrections: Corrections, busy: boolean, save: () => void, discard: () => void,
 * }} props
 */
export function Editor({ fileId, transcript, corrections, busy, save, discard }) {
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    save();
  };
  const hint = `edit-hint-${fileId}`;
  return html`
    <form class="editor" onSubmit=${submit}>
      <${Lines} segments=${transcript.segments} language=${transcript.language} textOf=${corrections.textOf}
        line=${(/** @type {Segment} */ segment, /** @type {number} */ number) => html`
          <${SegmentField} key=${segment.place} segment=${segment} number=${number}
            of=${transcript.segments.length} text=${corrections.textOf(segment)} change=${corrections.change} />
        `} />
      <p class="quiet" id=${hint}>${t("words.editHint")}</p>
      <div class="actions editor-actions">
        <button type="button" onClick=${discard}>${t("words.discard")}</button>
        <${Button} type="submit" class="primary" busy=${busy} aria-describedby=${hint}>${t("words.save")}<//>
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

  /**
   * @param {{ segment: Segment, text: string, number: number, of: number, change: Corrections["change"] }} props
   */
  render({ segment, text, number, of, change }) {
    /** @type {any} */ (this).latest ??= change;
    const at = length(segment.start_ms);
    const type = (/** @type {any} */ event) => /** @type {any} */ (this).latest(segment, event.target.value);
    return html`
      <li role="listitem" aria-posinset=${number + 1} aria-setsize=${of}>
        <span class="segment-at" aria-hidden="true">${at}</span>
        <textarea rows="1" dir="auto" aria-label=${t("words.segmentAt", { at })} value=${text}
          autofocus=${number === 0} onInput=${type}></textarea>
      </li>
    `;
  }
}
