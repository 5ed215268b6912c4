// How loud a recording is over its length, for the waveform: decoded here, at a rate that suffices for it.

import { openHere } from "./sounds.js";
import { secondsOf, wholeLength } from "./timeline.js";

/** @typedef {import("./timeline.js").Track} Track */

// Beyond these the decoded sound would weigh on a phone; the waveform is a plain bar then.
const MOST_SECONDS = 30 * 60;
const MOST_BYTES = 16 * 1024 * 1024;
// The least rate that every browser decodes to.
const RATE = 8_000;
const PIECES = 480;
// What is added up without a break: some milliseconds on a slow phone.
const SAMPLES_AT_ONCE = 400_000;

/**
 * The loudness of equal pieces of the timeline, 0 to 1, the loudest of them 1; null where it is too long, or cannot
 * be decoded. Rejects with the reason of `signal`.
 *
 * @param {Track[]} tracks
 * @param {string} address of the only track, where there is but one
 * @param {AbortSignal} signal
 * @returns {Promise<Float32Array | null>}
 */
export async function loudnessOf(tracks, address, signal) {
  const whole = wholeLength(tracks);
  if (whole === 0 || whole > MOST_SECONDS) return null;
  const squares = new Float32Array(PIECES);
  let room = MOST_BYTES;
  let start = 0;
  for (const track of tracks) {
    if (track.lost) continue;
    const sound = await (tracks.length === 1 ? plain(address, room, signal) : plainOf(track, room, signal));
    if (sound === null) return null;
    room -= sound.byteLength;
    if (sound.byteLength > 0) await addUp(squares, await decoded(sound), start, whole, signal);
    start += secondsOf(track);
  }
  return scaled(squares);
}

/** @param {Track} track @param {number} room @param {AbortSignal} signal */
async function plainOf(track, room, signal) {
  // What only the service opens is drawn as silence: a picture alone is no reason to ask for a password.
  const sound = track.sealed ? null : await openHere(track.clips[0]);
  if (sound === null) return new ArrayBuffer(0);
  try {
    return await plain(sound.address, room, signal);
  } finally {
    sound.close();
  }
}

/**
 * All bytes at an address, or null where they are more than there is room for.
 *
 * @param {string} address
 * @param {number} room
 * @param {AbortSignal} signal
 */
async function plain(address, room, signal) {
  const answer = await fetch(address, { signal, cache: "no-store" });
  const size = Number(answer.headers.get("Content-Length") ?? Infinity);
  if (answer.ok && size <= room) return answer.arrayBuffer();
  await answer.body?.cancel();
  return null;
}

/** @param {ArrayBuffer} sound */
async function decoded(sound) {
  const buffer = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(sound);
  return buffer.getChannelData(0);
}

/**
 * Add the squares of samples to the pieces in which they sound.
 *
 * @param {Float32Array} squares
 * @param {Float32Array} samples
 * @param {number} start in seconds
 * @param {number} whole in seconds
 * @param {AbortSignal} signal
 */
async function addUp(squares, samples, start, whole, signal) {
  const perSample = PIECES / (whole * RATE);
  const first = (start / whole) * PIECES;
  for (let begin = 0; begin < samples.length; begin += SAMPLES_AT_ONCE) {
    const end = Math.min(samples.length, begin + SAMPLES_AT_ONCE);
    for (let i = begin; i < end; i++) {
      squares[Math.min(PIECES - 1, Math.floor(first + i * perSample))] += samples[i] * samples[i];
    }
    // The page draws in between.
    await new Promise((resolve) => setTimeout(resolve));
    signal.throwIfAborted();
  }
}

/** @param {Float32Array} squares */
function scaled(squares) {
  const most = squares.reduce((one, other) => Math.max(one, other), 0);
  return most === 0 ? squares : squares.map((sum) => Math.sqrt(sum / most));
}
