// WebM as `MediaRecorder` writes it has no duration and no cues, since it is written before its end is known: players
// report Infinity and cannot seek. Here both are put before the sound, and unknown sizes are filled in.
// Matroska: RFC 9559. Opus packets: RFC 6716, 3.1.

import { childrenOf, element, float, floatElement, ForwardReader, headOf, idBytes, numberElement, text, textElement, unsigned } from "./ebml.js";
import { splicedSource } from "./spliced.js";

/** @import {Source} from "../library/recordings.js" */
/** @import {Element} from "./ebml.js" */

/**
 * A stretch of sound: where its content lies in the source, when it starts and ends, in the file's own unit.
 *
 * @typedef {{ start: number, stop: number, time: number, end: number }} Cluster
 * @typedef {{ id: number, whole: Uint8Array, content: Uint8Array }} Kept an element that stays as it is
 */

const ID = {
  ebml: 0x1a45dfa3,
  segment: 0x18538067,
  seekHead: 0x114d9b74,
  seek: 0x4dbb,
  seekId: 0x53ab,
  seekPosition: 0x53ac,
  info: 0x1549a966,
  timestampScale: 0x2ad7b1,
  duration: 0x4489,
  muxingApp: 0x4d80,
  writingApp: 0x5741,
  tracks: 0x1654ae6b,
  trackEntry: 0xae,
  trackNumber: 0xd7,
  trackType: 0x83,
  codec: 0x86,
  cluster: 0x1f43b675,
  timestamp: 0xe7,
  simpleBlock: 0xa3,
  blockGroup: 0xa0,
  block: 0xa1,
  cues: 0x1c53bb6b,
  cuePoint: 0xbb,
  cueTime: 0xb3,
  cueTrackPositions: 0xb7,
  cueTrack: 0xf7,
  cueClusterPosition: 0xf1,
  tags: 0x1254c367,
  chapters: 0x1043a770,
  attachments: 0x1941a469,
};
// What may follow a cluster of unknown size, which ends where one of these begins.
const LEVEL_ONE = [ID.cluster, ID.cues, ID.tags, ID.seekHead, ID.info, ID.tracks, ID.chapters, ID.attachments];
const SOUND = 2;
const NANOSECONDS = 1_000_000;
// A cue for each five seconds, and for long recordings fewer: they are fetched before the first sound is heard.
const CUE_MS = 5_000;
const MOST_CUES = 2_000;
// A block's track (1 byte, for up to 127 tracks), its time (2), its flags (1), and two bytes of its packet.
const BLOCK_BEGINNING = 6;
// What holds what is kept in memory: names, codecs, tags. Sound is never among it.
const LARGEST_KEPT = 4 * 1024 * 1024;

/**
 * The same recording with duration and cues, as a source that reads from `source`; null where it is not WebM with one
 * track of sound and nothing else, or where it has its duration already. A block that was cut off at the end,
 * and what follows it, is left out.
 *
 * @param {Source} source
 * @returns {Promise<{ source: Source, durationMs: number } | null>}
 */
export async function withDuration(source) {
  try {
    const found = await scanned(new ForwardReader(source));
    return found && rewritten(source, found);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/**
 * @typedef {{ ebml: Uint8Array, info: Uint8Array, tracks: Kept, tags: Kept[], clusters: Cluster[], scale: number, track: number }} Found
 * @param {ForwardReader} reader
 * @returns {Promise<Found | null>}
 */
async function scanned(reader) {
  const head = await reader.element(0);
  if (head?.id !== ID.ebml || head.stop === null) return null;
  const ebml = (await reader.bytes(0, head.stop)).slice();
  const segment = await reader.element(head.stop);
  if (segment?.id !== ID.segment) return null;
  const seen = { info: /** @type {Kept | null} */ (null), tracks: /** @type {Kept | null} */ (null), tags: /** @type {Kept[]} */ ([]) };
  /** @type {Cluster[]} */
  const clusters = [];
  const end = segment.stop ?? reader.size;
  for (let at = segment.content; at < end; ) {
    const next = await reader.element(at);
    if (next === null) break;
    if (next.id === ID.cluster) {
      const opus = seen.tracks !== null && codecOf(seen.tracks) === "A_OPUS";
      const { cluster, stop } = await scannedCluster(reader, next, opus);
      if (cluster !== null) clusters.push(cluster);
      at = stop;
      continue;
    }
    if (next.stop === null) break;
    if (next.id === ID.info) seen.info = await keptElement(reader, next);
    else if (next.id === ID.tracks) seen.tracks = await keptElement(reader, next);
    else if (next.id === ID.tags) seen.tags.push(await keptElement(reader, next));
    at = next.stop;
  }
  if (seen.info === null || seen.tracks === null || clusters.length === 0) return null;
  const told = childrenOf(seen.info.content);
  const durations = told.filter(({ id }) => id === ID.duration).map(({ content }) => float(content));
  const entries = childrenOf(seen.tracks.content).filter(({ id }) => id === ID.trackEntry);
  const track = childrenOf(entries[0]?.content ?? new Uint8Array());
  const numberOf = (/** @type {number} */ id) => unsigned(track.find((child) => child.id === id)?.content ?? new Uint8Array());
  if (durations.some((value) => value > 0) || entries.length !== 1 || numberOf(ID.trackType) !== SOUND) return null;
  const scale = told.find(({ id }) => id === ID.timestampScale);
  return {
    ebml,
    info: seen.info.content,
    tracks: seen.tracks,
    tags: seen.tags,
    clusters,
    scale: scale ? unsigned(scale.content) : NANOSECONDS,
    track: numberOf(ID.trackNumber),
  };
}

/** @param {ForwardReader} reader @param {Element} found @returns {Promise<Kept>} */
async function keptElement(reader, found) {
  const size = /** @type {number} */ (found.stop) - found.start;
  if (size > LARGEST_KEPT) throw new RangeError("Not a recording of a browser");
  const whole = (await reader.bytes(found.start, size)).slice();
  return { id: found.id, whole, content: whole.subarray(found.content - found.start) };
}

/** @param {Kept} tracks */
function codecOf(tracks) {
  const entry = childrenOf(tracks.content).find(({ id }) => id === ID.trackEntry);
  const codec = entry && childrenOf(entry.content).find(({ id }) => id === ID.codec);
  return codec ? text(codec.content) : "";
}

/**
 * @param {ForwardReader} reader
 * @param {Element} cluster
 * @param {boolean} opus
 */
async function scannedCluster(reader, cluster, opus) {
  const end = cluster.stop ?? reader.size;
  let [at, time, last, before, blocks] = [cluster.content, 0, 0, 0, 0];
  let packet = 0;
  while (at < end) {
    const child = await reader.element(at);
    // What was cut off in the middle of a block ends before it, and so does a cluster before the next.
    if (child === null || child.stop === null || LEVEL_ONE.includes(child.id)) break;
    if (child.id === ID.timestamp) time = unsigned(await reader.bytes(child.content, child.stop - child.content));
    const block = await blockOf(reader, child);
    if (block !== null) {
      blocks += 1;
      before = last;
      last = time + block.time;
      packet = opus ? packetLength(block.packet) : 0;
    }
    at = child.stop;
  }
  // Where a block is broken nothing after it can be found, so the source is as good as over.
  const next = at >= end ? null : await reader.element(at);
  const stop = at >= end || next !== null ? at : reader.size;
  const length = packet || (blocks > 1 ? last - before : 0);
  /** @type {Cluster | null} */
  const found = blocks === 0 ? null : { start: cluster.content, stop: at, time, end: last + length };
  return { cluster: found, stop };
}

/** The time of a block within its cluster, and how its packet begins; null for what is none. @param {ForwardReader} reader @param {Element} child */
async function blockOf(reader, child) {
  let content = child.content;
  if (child.id === ID.blockGroup) {
    const block = await reader.element(child.content);
    if (block?.id !== ID.block) return null;
    content = block.content;
  } else if (child.id !== ID.simpleBlock) return null;
  const beginning = await reader.bytes(content, BLOCK_BEGINNING);
  if (beginning.length < 4) return null;
  const time = new DataView(beginning.buffer, beginning.byteOffset).getInt16(1);
  return { time, packet: beginning.subarray(4) };
}

/** Milliseconds of an Opus packet, by its first byte or two. @param {Uint8Array} packet */
function packetLength(packet) {
  if (packet.length === 0) return 0;
  const configuration = packet[0] >> 3;
  const frame =
    configuration < 12
      ? [10, 20, 40, 60][configuration % 4]
      : configuration < 16
        ? [10, 20][configuration % 2]
        : [2.5, 5, 10, 20][configuration % 4];
  const frames = [1, 2, 2, (packet[1] ?? 1) & 63][packet[0] & 3];
  return frame * frames;
}

/** @param {Source} source @param {Found} found */
function rewritten(source, { ebml, info, tracks, tags, clusters, scale, track }) {
  const unitMs = scale / NANOSECONDS;
  const duration = clusters.reduce((longest, { end }) => Math.max(longest, end), 0);
  const kept = childrenOf(info).filter(({ id }) => id !== ID.duration);
  const newInfo = element(ID.info, ...kept.map(({ whole }) => whole), floatElement(ID.duration, duration), ...missingNames(kept));
  const cued = chosen(clusters, duration, Math.max(CUE_MS / unitMs, duration / MOST_CUES));
  // Each number stands in 8 bytes, so the lengths do not depend on the places, nor the places on the cues.
  const before = [newInfo, tracks.whole, ...tags.map(({ whole }) => whole)];
  const seekLength = seekHead([ID.info, ID.tracks, ID.cues].map((id) => ({ id, at: 0 }))).length;
  const cuesAt = before.reduce((sum, bytes) => sum + bytes.length, seekLength);
  const placeless = cues(cued.map(({ time }) => ({ time, at: 0 })), track).length;
  const places = new Map();
  let at = cuesAt + placeless;
  for (const cluster of clusters) {
    places.set(cluster, at);
    at += headOf(ID.cluster, 0).length + cluster.stop - cluster.start;
  }
  const seeks = seekHead([
    { id: ID.info, at: seekLength },
    { id: ID.tracks, at: seekLength + newInfo.length },
    { id: ID.cues, at: cuesAt },
  ]);
  const index = cues(cued.map((cluster) => ({ time: cluster.time, at: places.get(cluster) })), track);
  /** @type {import("./spliced.js").Part[]} */
  const parts = [ebml, headOf(ID.segment, at), seeks, ...before, index];
  for (const cluster of clusters) {
    parts.push(headOf(ID.cluster, cluster.stop - cluster.start), { start: cluster.start, stop: cluster.stop });
  }
  return { source: splicedSource(source, parts), durationMs: Math.round(duration * unitMs) };
}

/** RFC 9559 wants both names, and browsers write them. @param {{ id: number }[]} kept */
function missingNames(kept) {
  const names = [ID.muxingApp, ID.writingApp].filter((name) => !kept.some(({ id }) => id === name));
  return names.map((name) => textElement(name, "Panzoto"));
}

/** Clusters at least `apart` from each other, the first among them. @param {Cluster[]} clusters @param {number} duration @param {number} apart */
function chosen(clusters, duration, apart) {
  const cued = [clusters[0]];
  for (const cluster of clusters) {
    if (cluster.time >= cued[cued.length - 1].time + apart && cluster.time <= duration) cued.push(cluster);
  }
  return cued;
}

/** @param {{ id: number, at: number }[]} places */
const seekHead = (places) =>
  element(
    ID.seekHead,
    ...places.map(({ id, at }) => element(ID.seek, element(ID.seekId, idBytes(id)), numberElement(ID.seekPosition, at))),
  );

/** @param {{ time: number, at: number }[]} points @param {number} track */
const cues = (points, track) =>
  element(
    ID.cues,
    ...points.map(({ time, at }) =>
      element(
        ID.cuePoint,
        numberElement(ID.cueTime, time),
        element(ID.cueTrackPositions, numberElement(ID.cueTrack, track), numberElement(ID.cueClusterPosition, at)),
      ),
    ),
  );
