// Sittings: clips with no more than half a minute between them, as `GET /api/user/timeline` groups them.

/** @import { Recording } from "./known.js" */

const GAP_MS = 30_000;
// A clip that began long before may still be going on: so many clips, so far back, are looked at.
const LOOK_BACK_CLIPS = 500;
const LOOK_BACK_MS = 24 * 3_600_000;
const MOST_CLIPS = 2000;

/** When a clip begins and ends, in milliseconds. One of which nobody said when it was made takes no time. */
const endOf = (/** @type {Recording} */ { at, duration_ms }) => at + (duration_ms ?? 0);

/**
 * Group recordings, the newest first, into sittings, the newest first, and their clips the newest first. Most are
 * of one recording.
 *
 * @param {Recording[]} recordings
 * @returns {Recording[][]}
 */
export function sittingsOf(recordings) {
  const found = [];
  for (let start = 0; start < recordings.length; ) {
    let end = start + 1;
    for (let more = 1; more > 0 && end - start < MOST_CLIPS; end += more) more = joining(recordings, end);
    end = Math.min(end, start + MOST_CLIPS);
    found.push(recordings.slice(start, end));
    start = end;
  }
  return found;
}

/**
 * How many clips from `next` on belong to what begins before it: up to one that lasts to within the gap before
 * the clip that was taken last. What lies between began while that one went on.
 *
 * @param {Recording[]} recordings
 * @param {number} next
 */
function joining(recordings, next) {
  const begin = recordings[next - 1].at;
  for (let number = 0; number < LOOK_BACK_CLIPS && next + number < recordings.length; number++) {
    const clip = recordings[next + number];
    if (number > 0 && clip.at < begin - LOOK_BACK_MS) return 0;
    if (begin - endOf(clip) <= GAP_MS) return number + 1;
  }
  return 0;
}

/**
 * What a sitting is to a person: its clips the oldest first, when it began and ended, and how much there is to
 * hear.
 *
 * @param {Recording[]} newestFirst
 */
export function sittingFrom(newestFirst) {
  const clips = newestFirst.toReversed();
  return {
    fileId: clips[0].file_id,
    clips,
    startedAt: new Date(clips[0].at),
    endedAt: new Date(Math.max(...clips.map(endOf))),
    /** Null where no clip says how long it is. */
    durationMs: clips.some(({ duration_ms }) => duration_ms !== null)
      ? clips.reduce((sum, { duration_ms }) => sum + (duration_ms ?? 0), 0)
      : null,
  };
}

/** @typedef {ReturnType<typeof sittingFrom>} Sitting */

/**
 * The sittings of the last list that was asked about.
 *
 * @type {{ rows: Recording[] | null, byClip: Map<string, Sitting> }}
 */
let last = { rows: null, byClip: new Map() };

/**
 * The sitting that a clip belongs to, alone or with others; null where the clip is not in the list.
 *
 * @param {Recording[]} recordings the newest first
 * @param {string} fileId
 * @returns {Sitting | null}
 */
export function sittingOf(recordings, fileId) {
  if (last.rows !== recordings) {
    const byClip = new Map();
    for (const clips of sittingsOf(recordings)) {
      const sitting = sittingFrom(clips);
      for (const { file_id } of clips) byClip.set(file_id, sitting);
    }
    last = { rows: recordings, byClip };
  }
  return last.byClip.get(fileId) ?? null;
}
