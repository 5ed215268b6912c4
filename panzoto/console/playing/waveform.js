// The waveform on its canvas: a bar for each moment, those that were heard in the accent's colour.

import { useStore } from "../store.js";
import { t } from "../texts/index.js";
import { html, useEffect, useRef, useState } from "../ui.js";
import { loudnessOf } from "./loudness.js";

/** @typedef {import("./playback.js").Playback} Playback */

const BAR_PIXELS = 3;
const STEP_PIXELS = 5;
// A silence is seen as a line, not as nothing.
const LEAST = 0.05;

/** @param {{ playback: Playback }} props */
export function Waveform({ playback }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const loudness = useLoudness(playback);
  const { position, length } = useStore(playback.state, (value) => value);
  const [looks, setLooks] = useState(0);
  useEffect(() => {
    const changed = () => setLooks((/** @type {number} */ seen) => seen + 1);
    return watchLooks(/** @type {HTMLCanvasElement} */ (canvas.current), changed);
  }, []);
  useEffect(() => {
    draw(/** @type {HTMLCanvasElement} */ (canvas.current), loudness, length > 0 ? position / length : 0);
  }, [loudness, position, length, looks]);
  // Whoever cannot point at it has the slider below.
  const point = (/** @type {MouseEvent} */ event) => {
    const box = /** @type {HTMLElement} */ (event.currentTarget).getBoundingClientRect();
    if (length > 0) playback.seek(((event.clientX - box.left) / box.width) * length);
  };
  return html`
    <canvas ref=${canvas} class=${loudness ? "waveform" : "waveform bar"} role="img" aria-label=${t("player.waveform")}
      onClick=${point}></canvas>
  `;
}

/** How loud it is when, once it is known, and null before and where it stays unknown. @param {Playback} playback */
function useLoudness(playback) {
  const [loudness, setLoudness] = useState(/** @type {Float32Array | null} */ (null));
  const ready = useStore(playback.state, ({ measured, address }) => measured && address !== null);
  useEffect(() => {
    if (!ready || loudness !== null) return undefined;
    const leaving = new AbortController();
    const { tracks } = playback;
    const address = /** @type {string} */ (playback.state.get().address);
    // A waveform that cannot be had is a bar, and no reason to speak up.
    loudnessOf(tracks, address, leaving.signal).then(setLoudness, () => {});
    return () => leaving.abort();
  }, [playback, ready]);
  return loudness;
}

/** Call `changed` when the canvas has another size, or the page other colours; returns how to stop. @param {HTMLCanvasElement} canvas @param {() => void} changed */
function watchLooks(canvas, changed) {
  const sizes = new ResizeObserver(changed);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  sizes.observe(canvas);
  dark.addEventListener("change", changed);
  return () => {
    sizes.disconnect();
    dark.removeEventListener("change", changed);
  };
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array | null} loudness
 * @param {number} heard the part of it that was heard
 */
function draw(canvas, loudness, heard) {
  const ratio = devicePixelRatio;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  // Setting the size empties it.
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.scale(ratio, ratio);
  const { color, borderTopColor } = getComputedStyle(canvas);
  const edge = heard * width;
  if (loudness === null) return drawBar(pen, width, height, edge, [color, borderTopColor]);
  for (let x = 0; x < width; x += STEP_PIXELS) {
    const tall = Math.max(LEAST, loudest(loudness, x / width, (x + STEP_PIXELS) / width)) * height;
    pen.fillStyle = x + BAR_PIXELS / 2 <= edge ? color : borderTopColor;
    pen.fillRect(x, (height - tall) / 2, BAR_PIXELS, tall);
  }
}

/** @param {CanvasRenderingContext2D} pen @param {number} width @param {number} height @param {number} edge @param {string[]} colors */
function drawBar(pen, width, height, edge, [heard, ahead]) {
  const tall = height * LEAST * 2;
  pen.fillStyle = ahead;
  pen.fillRect(0, (height - tall) / 2, width, tall);
  pen.fillStyle = heard;
  pen.fillRect(0, (height - tall) / 2, edge, tall);
}

/** @param {Float32Array} loudness @param {number} from @param {number} to parts of the whole */
function loudest(loudness, from, to) {
  const first = Math.floor(from * loudness.length);
  const last = Math.min(loudness.length, Math.max(first + 1, Math.ceil(to * loudness.length)));
  let most = 0;
  for (let i = first; i < last; i++) most = Math.max(most, loudness[i]);
  return most;
}
