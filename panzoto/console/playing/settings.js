// Speed and volume, which stay as they were set from recording to recording.

import { createStore } from "../store.js";

export const SPEEDS = [0.75, 1, 1.25, 1.5, 1.75, 2];

export const soundSettings = createStore({ speed: 1, volume: 1 });

export const setSpeed = (/** @type {number} */ speed) => soundSettings.set({ speed });

export const setVolume = (/** @type {number} */ volume) => soundSettings.set({ volume });

/** One step of speed up or down, as far as there are any. @param {1 | -1} step */
export function stepSpeed(step) {
  const at = SPEEDS.indexOf(soundSettings.get().speed) + step;
  setSpeed(SPEEDS[Math.min(Math.max(at, 0), SPEEDS.length - 1)]);
}
