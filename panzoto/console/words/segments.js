// What was said, segment by segment: the one that sounds is marked and kept in sight, and a click plays from
// there.

import { current, playAt } from "../playing/current.js";
import { useStore } from "../store.js";
import { length } from "../texts/formats.js";
import { Component, html, useEffect, useRef } from "../ui.js";
import { lastAtMost } from "./divided-text.js";
import { WordTimes } from "./word-times.js";

/** @import { Segment } from "./document.js" */
/** @import { Transcript } from "./words-worker.js" */

// Whoever scrolls by themselves is not taken away from where they read, for so long.
const LET_BE_MS = 6_000;
const WORD = "sounding-word";

/**
 * The segment that sounds at this moment, by its number; -1 for none.
 *
 * @param {number[]} starts
 * @param {string} fileId
 */
const useSounding = (starts, fileId) =>
  useStore(current, (now) => {
    if (now.fileId !== fileId || (!now.playing && now.seconds === 0)) return -1;
    return lastAtMost(starts, Math.round(now.seconds * 1000));
  });

/** @param {{ fileId: string, transcript: Transcript }} props */
export function Segments({ fileId, transcript }) {
  const { segments, language } = transcript;
  const list = useRef(/** @type {HTMLOListElement | null} */ (null));
  const starts = useRef({ of: segments, numbers: segments.map(({ start_ms }) => start_ms) });
  if (starts.current.of !== segments) {
    starts.current = { of: segments, numbers: segments.map(({ start_ms }) => start_ms) };
  }
  const sounding = useSounding(starts.current.numbers, fileId);
  useFollowing(list, sounding);
  useWordMark(list, fileId, segments[sounding], sounding);
  return html`
    <ol class="segments" ref=${list} lang=${language ?? undefined}>
      ${segments.map((segment, number) => html`
        <${SegmentLine} key=${segment.place} segment=${segment} fileId=${fileId} sounds=${number === sounding}
          speaks=${segment.speaker !== (segments[number - 1]?.speaker ?? null)} />
      `)}
    </ol>
  `;
}

/** One segment; drawn anew only when it is another, or begins or ends to sound. */
class SegmentLine extends Component {
  /** @param {any} next */
  shouldComponentUpdate(next) {
    const { segment, sounds, speaks } = /** @type {any} */ (this).props;
    return next.segment !== segment || next.sounds !== sounds || next.speaks !== speaks;
  }

  /** @param {{ segment: Segment, fileId: string, sounds: boolean, speaks: boolean }} props */
  render({ segment, fileId, sounds, speaks }) {
    const { speaker, text } = segment;
    const play = (/** @type {number} */ ms) => playAt(fileId, ms / 1000);
    const click = (/** @type {any} */ event) => {
      // Whoever marks words to copy them wants to hear nothing.
      if (getSelection()?.isCollapsed === false) return;
      play(momentAt(segment, event));
    };
    const press = (/** @type {any} */ event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      event.stopPropagation();
      play(segment.start_ms);
    };
    return html`
      <li>
        <span class="segment-at" aria-hidden="true">${length(segment.start_ms)}</span>
        <div>
          ${speaks && speaker !== null && html`<span class="speaker" dir="auto">${speaker}</span>`}
          <div role="button" tabindex="0" class="segment" dir="auto"
            aria-current=${sounds ? "true" : undefined} onClick=${click} onKeyDown=${press}>${text}</div>
        </div>
      </li>
    `;
  }
}

/**
 * When the word was said on which a click fell; the segment's beginning where none did.
 *
 * @param {Segment} segment
 * @param {MouseEvent} event
 */
function momentAt(segment, event) {
  const offset = offsetAt(event);
  if (offset === null) return segment.start_ms;
  const places = new WordTimes(segment).inText();
  return places.find(({ start, end }) => start <= offset && offset <= end)?.word.start_ms ?? segment.start_ms;
}

/**
 * Which character of the text is under the pointer; null where a browser does not tell.
 *
 * @param {MouseEvent} event
 */
function offsetAt({ clientX, clientY, detail }) {
  // What is not a pointer's click has no place.
  if (detail === 0) return null;
  const page = /** @type {any} */ (document);
  const found = page.caretPositionFromPoint?.(clientX, clientY);
  if (found) return found.offsetNode.nodeType === Node.TEXT_NODE ? found.offset : null;
  return page.caretRangeFromPoint?.(clientX, clientY)?.startOffset ?? null;
}

/** @param {{ current: HTMLElement | null }} list @param {number} number @returns {HTMLElement | null} */
const segmentOf = ({ current: element }, number) =>
  element?.children[number]?.querySelector(".segment") ?? null;

/**
 * Keep the segment that sounds in sight while it plays.
 *
 * @param {{ current: HTMLElement | null }} list
 * @param {number} sounding
 */
function useFollowing(list, sounding) {
  const scrolledAt = useRef(0);
  useEffect(() => {
    const scrolled = () => {
      scrolledAt.current = Date.now();
    };
    const signs = ["wheel", "touchmove"];
    for (const sign of signs) addEventListener(sign, scrolled, { passive: true });
    return () => {
      for (const sign of signs) removeEventListener(sign, scrolled);
    };
  }, []);
  useEffect(() => {
    if (!current.get().playing || Date.now() - scrolledAt.current < LET_BE_MS) return;
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    segmentOf(list, sounding)?.scrollIntoView({ block: "nearest", behavior: isCalm ? "auto" : "smooth" });
  }, [sounding]);
}

/**
 * Mark the word that sounds, where the engine told its times and the browser can mark without changing the
 * page.
 *
 * @param {{ current: HTMLElement | null }} list
 * @param {string} fileId
 * @param {Segment | undefined} segment
 * @param {number} number
 */
function useWordMark(list, fileId, segment, number) {
  useEffect(() => {
    const marks = /** @type {any} */ (CSS).highlights;
    const text = segmentOf(list, number)?.firstChild;
    if (!marks || !segment || !text || segment.words.length === 0) return;
    const words = new WordTimes(segment).inText();
    const mark = () => {
      const now = current.get();
      const ms = now.fileId === fileId ? now.seconds * 1000 : -1;
      const found = words.find(({ word }) => word.start_ms <= ms && ms < word.end_ms);
      marks.delete(WORD);
      if (found === undefined || found.end > (text.textContent?.length ?? 0)) return;
      const range = new Range();
      range.setStart(text, found.start);
      range.setEnd(text, found.end);
      marks.set(WORD, new /** @type {any} */ (globalThis).Highlight(range));
    };
    mark();
    const stop = current.subscribe(mark);
    return () => {
      stop();
      marks.delete(WORD);
    };
  }, [fileId, segment, number]);
}
