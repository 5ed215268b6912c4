// The lines of a long list in blocks: those in sight, and around it, are drawn as what they are. The others
// stand in the page as their words alone, which costs next to nothing, so that the browser's own search and
// screen readers find all of them. The browser remembers how high each block was when it was last seen.

import { Component, html, useEffect, useMemo, useRef } from "../ui.js";

/** @import { Segment } from "./document.js" */

// Shorter lists are drawn at once, as lists of the page's own.
const LONGEST_WHOLE = 400;
const SHORTEST_BLOCK = 50;
// More blocks than these take their time to be laid out, however little is in them.
const MOST_BLOCKS = 1_000;
// So many blocks get their words at a time, and so much around the window is drawn.
const AT_A_TIME = 40;
const AROUND = "900px 0px";
// Heights before anything was seen: letters to a line, and rem to a line and to a segment beside its lines.
const LETTERS = 72;
const LINE_REM = 1.6;
const SEGMENT_REM = 1.1;

/**
 * A list of segments, each drawn by `line(segment, number)` as a list item. `wanted` is the number of one that
 * is drawn wherever it is; `textOf` gives the words of one that is not drawn.
 *
 * @param {{
 *   segments: Segment[], line: (segment: Segment, number: number) => any, wanted?: number, language: string | null,
 *   list?: { current: HTMLElement | null }, textOf?: (segment: Segment) => string, label?: string,
 * }} props
 */
export function Lines({ segments, line, wanted = -1, language, list, textOf = ({ text }) => text, label }) {
  const own = useRef(/** @type {HTMLElement | null} */ (null));
  const element = list ?? own;
  const size = blockOf(segments);
  const blocks = segments.length > LONGEST_WHOLE ? Math.ceil(segments.length / size) : 0;
  const drawn = useBlocks(element, blocks);
  const lang = language ?? undefined;
  if (blocks === 0) return html`<ol class="segments" ref=${element} lang=${lang} aria-label=${label}>${segments.map(line)}</ol>`;
  const isWanted = (/** @type {number} */ number) => Math.floor(wanted / size) === number;
  return html`
    <div class="segments" role="list" ref=${element} lang=${lang} aria-label=${label}>
      ${Array.from({ length: blocks }, (_, number) => html`
        <${Block} key=${number} number=${number} segments=${segments} isWanted=${isWanted(number)} line=${line}
          textOf=${textOf} ref=${drawn[number]} />
      `)}
    </div>
  `;
}

/**
 * Tell blocks whether they are near the window, and give them their words, some at a time.
 *
 * @param {{ current: HTMLElement | null }} list
 * @param {number} count
 * @returns {{ current: Block | null }[]} where the blocks tell that they are there
 */
function useBlocks(list, count) {
  const blocks = useMemo(
    () => Array.from({ length: count }, () => ({ current: /** @type {Block | null} */ (null) })),
    [count],
  );
  useEffect(() => {
    const element = list.current;
    if (count === 0 || element === null) return;
    const watch = new IntersectionObserver((entries) => entries.forEach(tell), { rootMargin: AROUND });
    const watchAll = () => {
      for (const block of element.children) watch.observe(block);
    };
    const tell = (/** @type {IntersectionObserverEntry} */ { target, isIntersecting }) => {
      const number = Number(/** @type {HTMLElement} */ (target).dataset.block);
      // Nobody's field is taken away from under their hands.
      blocks[number].current?.near(isIntersecting || target.contains(document.activeElement));
    };
    const drawAll = () => blocks.forEach(({ current }) => current?.near(true));
    const again = () => {
      // What is observed anew is told of at once.
      watch.disconnect();
      watchAll();
    };
    let filled = 0;
    const fill = () => {
      for (const { current } of blocks.slice(filled, filled + AT_A_TIME)) current?.setState({ isFilled: true });
      filled += AT_A_TIME;
      if (filled < count) filling = setTimeout(fill, 0);
    };
    let filling = setTimeout(fill, 0);
    watchAll();
    addEventListener("beforeprint", drawAll);
    addEventListener("afterprint", again);
    return () => {
      clearTimeout(filling);
      watch.disconnect();
      removeEventListener("beforeprint", drawAll);
      removeEventListener("afterprint", again);
    };
  }, [count]);
  return blocks;
}

/**
 * @typedef {{
 *   number: number, segments: Segment[], isWanted: boolean, line: (segment: Segment, number: number) => any,
 *   textOf: (segment: Segment) => string,
 * }} BlockProps
 *
 * @typedef {{ isNear: boolean, isFilled: boolean }} BlockState
 */

/** Some lines; while nobody is near them, what they say is not looked at again. */
class Block extends Component {
  /** @type {BlockState} */
  state = { isNear: false, isFilled: false };
  #isNear = false;

  componentWillMount() {
    // The first is drawn at once: there whoever opens an editor begins.
    if (/** @type {any} */ (this).props.number !== 0) return;
    this.#isNear = true;
    this.setState({ isNear: true });
  }

  /** Say whether it is near the window. @param {boolean} isNear */
  near(isNear) {
    if (isNear === this.#isNear) return;
    this.#isNear = isNear;
    this.setState({ isNear });
  }

  /** @param {BlockProps} next @param {BlockState} state */
  shouldComponentUpdate(next, { isNear, isFilled }) {
    const { segments, isWanted, line } = /** @type {any} */ (this).props;
    const isDrawn = isNear || next.isWanted;
    if (isDrawn !== (this.state.isNear || isWanted) || next.segments !== segments) return true;
    return isDrawn ? next.line !== line : isFilled !== this.state.isFilled;
  }

  componentDidMount() {
    this.measure();
  }

  componentDidUpdate(/** @type {BlockProps} */ { segments }) {
    if (segments !== /** @type {any} */ (this).props.segments) this.measure();
  }

  /** Say how high it may be before it was seen. */
  measure() {
    const { style } = /** @type {any} */ (this).base;
    style.containIntrinsicBlockSize = `auto ${heightOf(this.own()).toFixed(1)}rem`;
  }

  /** @returns {Segment[]} */
  own() {
    const { segments, number } = /** @type {any} */ (this).props;
    const size = blockOf(segments);
    return segments.slice(number * size, (number + 1) * size);
  }

  /** @param {BlockProps} props @param {BlockState} state */
  render({ number, segments, isWanted, line, textOf }, { isNear, isFilled }) {
    const isDrawn = isNear || isWanted;
    return html`
      <div class="segment-block" data-block=${number} role=${isDrawn ? "none" : "listitem"}>
        ${isDrawn
          ? this.own().map((segment, index) => line(segment, number * blockOf(segments) + index))
          : isFilled && this.own().map(textOf).join("\n")}
      </div>
    `;
  }
}

/** How many segments there are to a block. @param {Segment[]} segments */
const blockOf = ({ length }) => Math.max(SHORTEST_BLOCK, Math.ceil(length / MOST_BLOCKS));

/** About how high some segments are, in rem. @param {Segment[]} segments */
const heightOf = (segments) =>
  segments.reduce((sum, { text }) => sum + SEGMENT_REM + LINE_REM * Math.ceil(text.length / LETTERS), 0);
