// One timeline over several clips.

import assert from "node:assert/strict";
import test from "node:test";

import * as timeline from "../../../panzoto/console/playing/timeline.js";

const clip = (file_id, seconds) => ({ file_id, duration_ms: seconds === null ? null : seconds * 1000 });
const three = () => timeline.tracksOf([clip("a", 10), clip("b", 20), clip("c", 5)], [false, false, false]);

test("clips lie one after the other", () => {
  const tracks = three();
  assert.equal(timeline.wholeLength(tracks), 35);
  assert.deepEqual([0, 1, 2].map((index) => timeline.startOf(tracks, index)), [0, 10, 30]);
  assert.deepEqual(timeline.placeOf(tracks, 0), { index: 0, seconds: 0 });
  assert.deepEqual(timeline.placeOf(tracks, 9.5), { index: 0, seconds: 9.5 });
  assert.deepEqual(timeline.placeOf(tracks, 10), { index: 1, seconds: 0 });
  assert.deepEqual(timeline.placeOf(tracks, 34), { index: 2, seconds: 4 });
  assert.deepEqual(timeline.placeOf(tracks, 99), { index: 2, seconds: 69 });
});

test("what is heard of a length counts more than what was said of it", () => {
  const tracks = three();
  tracks[0].seconds = 11;
  assert.deepEqual(timeline.placeOf(tracks, 10.5), { index: 0, seconds: 10.5 });
  assert.equal(timeline.positionOf(tracks, "b", 2), 13);
  assert.equal(timeline.positionOf(tracks, "nobody", 2), null);
});

test("a clip of unknown length holds what follows until it is measured", () => {
  const tracks = timeline.tracksOf([clip("a", null), clip("b", 20)], [false, false]);
  assert.ok(!timeline.isMeasured(tracks));
  assert.deepEqual(timeline.placeOf(tracks, 3), { index: 0, seconds: 3 });
  tracks[0].seconds = 2;
  assert.ok(timeline.isMeasured(tracks));
  assert.deepEqual(timeline.placeOf(tracks, 3), { index: 1, seconds: 1 });
});

test("neighbours that want the password go together", () => {
  const clips = [clip("a", 1), clip("b", 2), clip("c", 3), clip("d", 4)];
  const tracks = timeline.tracksOf(clips, [true, true, false, true]);
  assert.deepEqual(tracks.map((track) => track.clips.map(({ file_id }) => file_id)), [["a", "b"], ["c"], ["d"]]);
  assert.deepEqual(timeline.clipAt(tracks[0], 0.5), { clip: clips[0], seconds: 0.5 });
  assert.deepEqual(timeline.clipAt(tracks[0], 1.5), { clip: clips[1], seconds: 0.5 });
  assert.deepEqual(timeline.clipAt(tracks[0], 9), { clip: clips[1], seconds: 8 });
  assert.equal(timeline.positionOf(tracks, "b", 1), 2);
});

test("a clip that is lost takes no time and is passed over", () => {
  const tracks = three();
  tracks[1].lost = true;
  assert.equal(timeline.wholeLength(tracks), 15);
  assert.deepEqual(timeline.placeOf(tracks, 10), { index: 2, seconds: 0 });
  assert.equal(timeline.positionOf(tracks, "c", 1), 11);
  tracks[2].lost = true;
  assert.deepEqual(timeline.placeOf(tracks, 10), { index: 0, seconds: 10 });
  tracks[0].lost = true;
  assert.ok(timeline.isMeasured(tracks));
  assert.deepEqual(timeline.placeOf(tracks, 10), { index: 2, seconds: 0 });
});

test("one that is lost is passed over though nobody knows its length", () => {
  const tracks = timeline.tracksOf([clip("a", null), clip("b", 20)], [false, false]);
  tracks[0].lost = true;
  assert.deepEqual(timeline.placeOf(tracks, 3), { index: 1, seconds: 3 });
});
