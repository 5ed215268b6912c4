// What was said, segment by segment: the one that sounds is marked and kept in sight, and a click plays from
// there.

import { current, jumps, playAt } from "../playing/current.js";
import { useStore } from "../store.js";
import { length } from "../texts/formats.js";
import { Component, html, useCallback, useEffect, useRef } from "../ui.js";
import { Lines } from "./blocks.js";
import { lastAtMost } from "./divided-text.js";
import { WordTimes } from "./word-times.js";

/** @import { Segment } from "./document.js" */
/** @import { Transcript } from "./words-worker.js" */

// Whoever scrolls by themselves is not taken away from where they read, for so long.
const LET_BE_MS = 6_000;
const WORD = "sounding-word";
const ARRIVING_FRAMES = 4;

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
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  const starts = useRef({ of: segments, numbers: segments.map(({ start_ms }) => start_ms) });
  if (starts.current.of !== segments) {
    starts.current = { of: segments, numbers: segments.map(({ start_ms }) => start_ms) };
  }
  const sounding = useSounding(starts.current.numbers, fileId);
  const jumped = useJump(starts.current.numbers, fileId);
  useFollowing(list, segments[sounding]);
  useArrival(list, segments[jumped], jumped);
  useWordMark(list, fileId, segments[sounding]);
  const line = useCallback(
    (/** @type {Segment} */ segment, /** @type {number} */ number) => html`
      <${SegmentLine} key=${segment.place} segment=${segment} fileId=${fileId} sounds=${number === sounding}
        speaks=${segment.speaker !== (segments[number - 1]?.speaker ?? null)} number=${number} of=${segments.length} />
    `,
    [segments, fileId, sounding],
  );
  return html`
    <${Lines} list=${list} segments=${segments} line=${line} language=${language}
      wanted=${jumped >= 0 ? jumped : sounding} />
  `;
}

/** One segment; drawn anew only when it is another, or begins or ends to sound. */
class SegmentLine extends Component {
  /** @param {any} next */
  shouldComponentUpdate(next) {
    const { segment, sounds, speaks } = /** @type {any} */ (this).props;
    return next.segment !== segment || next.sounds !== sounds || next.speaks !== speaks;
  }

  /**
   * @param {{ segment: Segment, fileId: string, sounds: boolean, speaks: boolean, number: number, of: number }}
   *   props
   */
  render({ segment, fileId, sounds, speaks, number, of }) {
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
      <li role="listitem" aria-posinset=${number + 1} aria-setsize=${of} data-place=${segment.place}>
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

/** @param {{ current: HTMLElement | null }} list @param {Segment | undefined} segment @returns {HTMLElement | null} */
const drawn = ({ current: element }, segment) =>
  (segment && element?.querySelector(`[data-place="${segment.place}"] .segment`)) ?? null;

/**
 * Keep the segment that sounds in sight while it plays.
 *
 * @param {{ current: HTMLElement | null }} list
 * @param {Segment | undefined} sounding
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
    const line = drawn(list, sounding);
    if (line === null) return;
    const { top, bottom } = line.getBoundingClientRect();
    const isFar = top > 2 * innerHeight || bottom < -innerHeight;
    const isCalm = isFar || matchMedia("(prefers-reduced-motion: reduce)").matches;
    line.scrollIntoView({ block: "nearest", behavior: isCalm ? "auto" : "smooth" });
  }, [sounding]);
}

/**
 * The segment to which somebody has just jumped, by its number; -1 once they are there.
 *
 * @param {number[]} starts
 * @param {string} fileId
 */
const useJump = (starts, fileId) =>
  useStore(jumps, ({ to }) => (to?.fileId === fileId ? Math.max(0, lastAtMost(starts, Math.round(to.seconds * 1000))) : -1));

/**
 * Bring the segment to which somebody has jumped into sight, whether it sounds already or not at all.
 *
 * @param {{ current: HTMLElement | null }} list
 * @param {Segment | undefined} segment
 * @param {number} number
 */
function useArrival(list, segment, number) {
  useEffect(() => {
    if (number < 0) return;
    let frames = 0;
    let frame = 0;
    const arrive = () => {
      drawn(list, segment)?.scrollIntoView({ block: "nearest" });
      // What is drawn around it is higher, or lower, than was thought.
      if (++frames < ARRIVING_FRAMES) frame = requestAnimationFrame(arrive);
      else jumps.set({ to: null });
    };
    arrive();
    return () => cancelAnimationFrame(frame);
  }, [segment, number]);
}

/**
 * Mark the word that sounds, where the engine told its times and the browser can mark without changing the
 * page.
 *
 * @param {{ current: HTMLElement | null }} list
 * @param {string} fileId
 * @param {Segment | undefined} segment
 */
function useWordMark(list, fileId, segment) {
  useEffect(() => {
    const marks = /** @type {any} */ (CSS).highlights;
    const text = drawn(list, segment)?.firstChild;
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
  }, [fileId, segment]);
}
