// How loud the microphone is, and whether it hears anything at all.

const LOOK_MS = 100;
// Below this no microphone of a quiet room stays: it is switched off, or not the one that is spoken into.
const SILENCE = 0.0005;
const SILENT_AFTER_MS = 3_000;
// The meter's scale: from -60 dB to full.
const FLOOR_DB = -60;

/**
 * Watch a microphone.
 *
 * @param {MediaStream} stream
 * @param {(heard: { level: number | null, silent: boolean }) => void} tell `level` from 0 to 1, or null
 *   where the browser lets no sound be looked at, as Firefox does where nothing can be heard; `silent` after three seconds
 *   without any sound
 * @returns {{ pause: () => void, resume: () => void, close: () => void }}
 */
export function watchLevel(stream, tell) {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 2048;
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let heardAt = performance.now();
  let paused = false;
  const timer = setInterval(() => {
    if (paused) return;
    analyser.getFloatTimeDomainData(samples);
    const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    const now = performance.now();
    // A suspended context hears nothing, which says nothing about the microphone.
    if (peak > SILENCE || context.state !== "running") heardAt = now;
    const decibels = peak > 0 ? 20 * Math.log10(peak) : FLOOR_DB;
    const level = context.state === "running" ? Math.min(1, Math.max(0, 1 - decibels / FLOOR_DB)) : null;
    tell({ level, silent: now - heardAt >= SILENT_AFTER_MS });
  }, LOOK_MS);
  return {
    pause() {
      paused = true;
      tell({ level: 0, silent: false });
    },
    resume() {
      paused = false;
      heardAt = performance.now();
    },
    close() {
      clearInterval(timer);
      context.close().catch(() => {});
    },
  };
}
