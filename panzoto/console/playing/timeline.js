// One timeline over a recording, or over the clips of a sitting: which second of it lies where.

/** @typedef {import("./sounds.js").Recording} Recording */

/**
 * What is played from one address: one clip, or several that the service joins.
 *
 * @typedef {{ clips: Recording[], sealed: boolean, seconds: number | null, lost: boolean }} Track `sealed`: it wants
 *   the password; `seconds`: how long it is, once it was heard of; `lost`: nothing of it can be played, so that it takes
 *   no time
 */

/** A track of which nothing is known yet. @param {Recording} clip @param {boolean} sealed @returns {Track} */
export const trackOf = (clip, sealed) => ({ clips: [clip], sealed, seconds: null, lost: false });

/** The length that a clip says of itself, in seconds, or null. @param {Recording} clip */
const said = (clip) => (clip.duration_ms === null ? null : clip.duration_ms / 1000);

/**
 * Tracks of these clips: each its own, but neighbours that want the password go together, so that it is asked once.
 *
 * @param {Recording[]} clips
 * @param {boolean[]} sealed
 * @returns {Track[]}
 */
export function tracksOf(clips, sealed) {
  /** @type {Track[]} */
  const tracks = [];
  clips.forEach((clip, index) => {
    const last = tracks.at(-1);
    if (sealed[index] && last?.sealed) last.clips.push(clip);
    else tracks.push(trackOf(clip, sealed[index]));
  });
  return tracks;
}

/** Seconds of a track, as it was heard or as its clips say; 0 where nobody knows, or it is lost. @param {Track} track */
export function secondsOf({ clips, seconds, lost }) {
  if (lost) return 0;
  return seconds ?? clips.reduce((sum, clip) => sum + (said(clip) ?? 0), 0);
}

/** Whether the length of every track is known. @param {Track[]} tracks */
export const isMeasured = (tracks) =>
  tracks.every(({ clips, seconds, lost }) => lost || seconds !== null || clips.every((clip) => said(clip) !== null));

/** @param {Track[]} tracks */
export const wholeLength = (tracks) => tracks.reduce((sum, track) => sum + secondsOf(track), 0);

/** Where a track begins on the timeline. @param {Track[]} tracks @param {number} index */
export const startOf = (tracks, index) => wholeLength(tracks.slice(0, index));

/**
 * The track at a second of the timeline, and the second within it. The border between two belongs to the later. One that
 * is lost is passed over, unless all are.
 *
 * @param {Track[]} tracks
 * @param {number} position
 */
export function placeOf(tracks, position) {
  let place = { index: tracks.length - 1, seconds: 0 };
  let start = 0;
  for (const [index, track] of tracks.entries()) {
    if (track.lost) continue;
    const next = start + secondsOf(track);
    place = { index, seconds: Math.max(0, position - start) };
    // A track whose length nobody knows yet may hold all that follows.
    if (position < next || next === start) break;
    start = next;
  }
  return place;
}

/** The clip that sounds at a second of a track, and the second within that clip. @param {Track} track @param {number} seconds */
export function clipAt({ clips }, seconds) {
  let start = 0;
  for (const clip of clips.slice(0, -1)) {
    const length = said(clip) ?? 0;
    if (seconds < start + length) return { clip, seconds: seconds - start };
    start += length;
  }
  return { clip: clips[clips.length - 1], seconds: seconds - start };
}

/** The second of the timeline at which this second of a clip sounds, or null where it is no clip of it. @param {Track[]} tracks @param {string} fileId @param {number} seconds */
export function positionOf(tracks, fileId, seconds) {
  for (const [index, track] of tracks.entries()) {
    const at = track.clips.findIndex((clip) => clip.file_id === fileId);
    if (at < 0) continue;
    const before = track.clips.slice(0, at).reduce((sum, clip) => sum + (said(clip) ?? 0), 0);
    return startOf(tracks, index) + before + seconds;
  }
  return null;
}
