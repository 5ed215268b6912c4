// Version 2 recordings at their borders, cut, swapped, and read in ranges.

import assert from "node:assert/strict";
import { test } from "node:test";

import { concat, equal, random } from "../../../panzoto/console/library/bytes.js";
import { HEADER_SIZE, makeHeader, openHeader } from "../../../panzoto/console/library/header.js";
import {
  blobSource,
  collect,
  encryptedSize,
  encryptingSource,
  encryptRecording,
  fileKeyOf,
  newSecrets,
  RecordingReader,
  SegmentedWriter,
} from "../../../panzoto/console/library/recordings.js";
import { countedSource, plainOf, vault, whole } from "./support.mjs";

const KEY = "users/ü/audio-1.3gp_encrypted";
// 1024 bytes, the longest key there is.
const LONGEST_KEY = "users/é/" + "k".repeat(1024 - new TextEncoder().encode("users/é/").length);
const FIRST = 65480;
const NEXT = 65520;
const BORDERS = [0, 1, FIRST - 1, FIRST, FIRST + 1, FIRST + NEXT - 1, FIRST + NEXT, FIRST + NEXT + 1, 400_000];
const MIB = 1024 * 1024;

const encrypted = (plain, secrets = newSecrets(), key = KEY) =>
  whole(encryptRecording(vault, key, countedSource(plain), secrets));
const readerOf = (object, key = KEY) => RecordingReader.open(vault, key, countedSource(object));
const refusedAs = (reason) => ({ name: "RecordingError", reason });

/** The object in its pieces: 168 bytes, and the segments. */
function piecesOf(object) {
  const pieces = [object.subarray(0, 168), object.subarray(168, HEADER_SIZE + 65536)];
  for (let at = HEADER_SIZE + 65536; at < object.length; at += 65536) pieces.push(object.subarray(at, at + 65536));
  return pieces;
}

for (const size of BORDERS) {
  test(`${size} bytes come back, and make as many bytes as was said`, async () => {
    const plain = plainOf(size);
    const object = await encrypted(plain);
    assert.equal(object.length, encryptedSize(size));
    const reader = await readerOf(object);
    assert.equal(reader.length, size);
    assert.ok(equal(await whole(reader.read()), plain));
  });

  test(`${size} bytes are the same from a stream whose end is not known`, async () => {
    const plain = plainOf(size);
    const secrets = newSecrets();
    const object = await encrypted(plain, secrets);
    for (const step of [size || 1, 65536, 4099, FIRST]) {
      const writer = await SegmentedWriter.open(vault, KEY, secrets);
      const pieces = [writer.beginning];
      for (let at = 0; at < size; at += step) pieces.push(...(await writer.write(plain.subarray(at, at + step))));
      pieces.push(await writer.close());
      assert.ok(equal(concat(...pieces), object), `${step} bytes at a time`);
    }
  });

  test(`${size} bytes can be encrypted part by part, in any order`, async () => {
    const plain = plainOf(size);
    const secrets = newSecrets();
    const object = await encrypted(plain, secrets);
    const source = await encryptingSource(vault, KEY, countedSource(plain), secrets);
    assert.equal(source.size, object.length);
    for (const step of [object.length, 65536, 70_001, 100]) {
      if (object.length / step > 100) continue;
      const starts = Array.from({ length: Math.ceil(object.length / step) }, (_, index) => index * step);
      const made = new Map();
      for (const start of starts.toReversed()) {
        made.set(start, await source.read(start, Math.min(start + step, object.length)));
      }
      assert.ok(equal(concat(...starts.map((start) => made.get(start))), object), `${step} bytes at a time`);
    }
  });
}

test("the beginning of an object can be made alone", async () => {
  const plain = plainOf(400_000);
  const secrets = newSecrets();
  const object = await encrypted(plain, secrets);
  const source = await encryptingSource(vault, KEY, countedSource(plain), secrets);
  for (const [start, stop] of [[0, 4], [0, 128], [100, 168], [160, 170], [168, 169], [65663, 65665], [5, 5]]) {
    assert.ok(equal(await source.read(start, stop), object.subarray(start, stop)), `${start} to ${stop}`);
  }
});

test("the same secrets make the same bytes, others share nothing", async () => {
  const plain = plainOf(200_000);
  const secrets = newSecrets();
  const one = await encrypted(plain, secrets);
  assert.ok(equal(one, await encrypted(plain, structuredClone(secrets))));
  const other = await encrypted(plain);
  for (const [start, stop] of [[22, 34], [34, 82], [82, 114], [129, 161], [161, 168], [168, 400]]) {
    assert.ok(!equal(one.subarray(start, stop), other.subarray(start, stop)), `${start} to ${stop}`);
  }
});

test("the own key is the one of the secrets", async () => {
  const secrets = newSecrets();
  const object = await encrypted(plainOf(10), secrets);
  assert.deepEqual(await fileKeyOf(vault, blobSource(new Blob([object]))), secrets.fileKey);
});

test("the longest key of an object is taken, and a writer's part of a vault is enough", async () => {
  const plain = plainOf(70_000);
  const object = await encrypted(plain, newSecrets(), LONGEST_KEY);
  const { keyId, wrappingKey } = vault;
  const reader = await RecordingReader.open({ keyId, wrappingKey }, LONGEST_KEY, countedSource(object));
  assert.ok(equal(await whole(reader.read()), plain));
});

test("a thousand ranges are the plain bytes", async () => {
  const plain = plainOf(5 * NEXT + 777);
  const reader = await readerOf(await encrypted(plain));
  const numbers = new Uint32Array(random(8000).buffer);
  for (let i = 0; i < 1000; i++) {
    const start = numbers[2 * i] % (plain.length + 10);
    const stop = start + (numbers[2 * i + 1] % (i % 2 ? 100 : 200_000));
    assert.ok(equal(await whole(reader.read(start, stop)), plain.slice(start, stop)), `${start} to ${stop}`);
  }
  assert.ok(equal(await whole(reader.read(-5, 3)), plain.slice(0, 3)));
  assert.equal((await whole(reader.read(7, 7))).length, 0);
  assert.equal((await whole(reader.read(plain.length, Infinity))).length, 0);
});

test("several readings at the same time do not disturb each other", async () => {
  const plain = plainOf(600_000);
  const reader = await readerOf(await encrypted(plain));
  const ranges = [[0, 600_000], [65_000, 66_000], [599_999, 600_000], [131_000, 400_000]];
  const read = await Promise.all(ranges.map(([start, stop]) => whole(reader.read(start, stop))));
  ranges.forEach(([start, stop], index) => assert.ok(equal(read[index], plain.slice(start, stop))));
});

test("a piece may be given away: what is read later is whole", async () => {
  const plain = plainOf(100_000);
  const reader = await readerOf(await encrypted(plain));
  for (let times = 0; times < 2; times++) {
    const copies = [];
    for await (const piece of reader.read()) {
      copies.push(piece.slice());
      structuredClone(piece, { transfer: [piece.buffer] });
    }
    assert.ok(equal(concat(...copies), plain));
  }
});

test("opening takes two reads, a range its own segments, and the ends none", async () => {
  const plain = plainOf(80 * NEXT);
  const object = await encrypted(plain);
  const source = countedSource(object);
  const reader = await RecordingReader.open(vault, KEY, source);
  const last = HEADER_SIZE + 65536 * 80;
  assert.deepEqual(source.reads.splice(0), [[0, HEADER_SIZE + 65536], [last, object.length]]);
  await whole(reader.read(0, 2));
  await whole(reader.read(plain.length - 5));
  assert.deepEqual(source.reads, []);
  await whole(reader.read(FIRST + 3 * NEXT, FIRST + 3 * NEXT + 1));
  assert.deepEqual(source.reads.splice(0), [[HEADER_SIZE + 4 * 65536, HEADER_SIZE + 5 * 65536]]);
  assert.ok(equal(await whole(reader.read()), plain));
  // One segment first, then ever more, but never above 1 MiB.
  assert.deepEqual(source.reads.map(([start, stop]) => (stop - start) / 65536), [1, 2, 4, 8, 16, 16, 16, 16]);
});

test("what fits into one segment takes one read", async () => {
  const source = countedSource(await encrypted(plainOf(1000)));
  assert.ok(equal(await whole((await RecordingReader.open(vault, KEY, source)).read()), plainOf(1000)));
  assert.equal(source.reads.length, 1);
});

test("a reading that nobody goes on with reads no further", async () => {
  const source = countedSource(await encrypted(plainOf(60 * NEXT)));
  const reader = await RecordingReader.open(vault, KEY, source);
  source.reads.length = 0;
  for await (const piece of reader.read(FIRST)) {
    assert.equal(piece.length, NEXT);
    break;
  }
  assert.equal(source.reads.length, 1);
});

test("no read of a source is ever above 1 MiB, nor beyond its end", async () => {
  const source = countedSource(plainOf(3 * MIB));
  const object = await whole(encryptRecording(vault, KEY, source));
  const sealed = countedSource(object);
  await whole((await RecordingReader.open(vault, KEY, sealed)).read());
  for (const { size, reads } of [source, sealed]) {
    assert.ok(reads.every(([start, stop]) => stop - start <= MIB && stop <= size));
  }
});

test("a signal reaches the source and ends a reading", async () => {
  const object = await encrypted(plainOf(3 * NEXT));
  const signals = new Set();
  const source = {
    size: object.length,
    read: async (start, stop, { signal } = {}) => {
      signals.add(signal);
      return object.slice(start, stop);
    },
  };
  const { signal: opening } = new AbortController();
  const reader = await RecordingReader.open(vault, KEY, source, { signal: opening });
  const ending = new AbortController();
  const pieces = reader.read(0, reader.length, { signal: ending.signal });
  await pieces.next();
  await pieces.next();
  ending.abort();
  await assert.rejects(pieces.next(), { name: "AbortError" });
  assert.deepEqual([...signals], [opening, ending.signal]);
});

test("what a source rejects with goes through", async () => {
  const object = await encrypted(plainOf(3 * NEXT));
  const gone = new Error("the file is gone");
  let broken = false;
  const read = async (start, stop) => {
    if (broken) throw gone;
    return object.slice(start, stop);
  };
  const reader = await RecordingReader.open(vault, KEY, { size: object.length, read });
  broken = true;
  await assert.rejects(whole(reader.read(FIRST, FIRST + 1)), gone);
  await assert.rejects(whole(encryptRecording(vault, KEY, { size: 5, read })), gone);
});

test("a source that ends before its size is cut off", async () => {
  const object = await encrypted(plainOf(3 * NEXT));
  const short = { size: object.length, read: async (start, stop) => object.slice(start, Math.min(stop, 70_000)) };
  await assert.rejects(RecordingReader.open(vault, KEY, short), refusedAs("length"));
  await assert.rejects(whole(encryptRecording(vault, KEY, { ...short, size: 99_999 })), refusedAs("length"));
});

// ---- What was done to an object ---------------------------------------------------------------------------

test("an object that is cut anywhere opens nowhere", async () => {
  for (const size of [0, 1, FIRST, FIRST + 1, 2 * NEXT + 500]) {
    const object = await encrypted(plainOf(size));
    const borders = [0, 1, 4, 127, 128, 129, 167, 168, 169, 183, 184, 65663, 65664, 65665, 65680, 65681, 131200];
    for (const cut of [...borders, object.length - 16, object.length - 1]) {
      if (cut >= object.length || cut < 0) continue;
      await assert.rejects(readerOf(object.subarray(0, cut)), { name: "RecordingError" }, `${size} cut at ${cut}`);
    }
  }
});

test("the reason of a cut is the first check that fails", async () => {
  const object = await encrypted(plainOf(2 * NEXT + 500));
  for (const [cut, reason] of [[127, "length"], [128, "length"], [183, "length"], [184, "segment"]]) {
    await assert.rejects(readerOf(object.subarray(0, cut)), refusedAs(reason), `${cut}`);
  }
  await assert.rejects(readerOf(object.subarray(0, HEADER_SIZE + 65536 + 16)), refusedAs("length"));
  await assert.rejects(readerOf(object.subarray(0, HEADER_SIZE + 65536 + 17)), refusedAs("segment"));
});

test("something appended is found before anything is read", async () => {
  const object = await encrypted(plainOf(FIRST));
  for (const more of [1, 16, 17, 65536]) {
    await assert.rejects(readerOf(concat(object, new Uint8Array(more))), { name: "RecordingError" }, `${more}`);
  }
  const [beginning, ...segments] = piecesOf(await encrypted(plainOf(3 * NEXT)));
  await assert.rejects(readerOf(concat(beginning, ...segments, segments.at(-1))), refusedAs("segment"));
});

test("segments that are swapped, repeated, left out or of another recording do not open", async () => {
  const secrets = newSecrets();
  const plain = plainOf(FIRST + 4 * NEXT);
  const [beginning, first, second, third, ...rest] = piecesOf(await encrypted(plain, secrets));
  const [, , foreign] = piecesOf(await encrypted(plain));
  for (const [what, middle] of [
    ["swapped", [third, second]],
    ["repeated", [second, second]],
    ["of another recording", [second, foreign]],
  ]) {
    const reader = await readerOf(concat(beginning, first, ...middle, ...rest));
    const given = [];
    const reading = async () => {
      for await (const piece of reader.read()) given.push(piece);
    };
    await assert.rejects(reading(), refusedAs("segment"), what);
    // What was given out before is true, and nothing of what follows is given.
    assert.ok(equal(concat(...given), plain.subarray(0, concat(...given).length)), what);
    assert.ok(given.length < 3, what);
  }
  await assert.rejects(readerOf(concat(beginning, first, second, ...rest)), refusedAs("segment"));
});

test("what follows a damaged segment can be read, that one cannot", async () => {
  const plain = plainOf(FIRST + 4 * NEXT);
  const object = await encrypted(plain);
  object[HEADER_SIZE + 2 * 65536 + 5] ^= 1;
  const reader = await readerOf(object);
  await assert.rejects(whole(reader.read(FIRST + NEXT, FIRST + NEXT + 1)), refusedAs("segment"));
  const behind = FIRST + 2 * NEXT;
  assert.ok(equal(await whole(reader.read(behind)), plain.subarray(behind)));
  object[200] ^= 1;
  await assert.rejects(whole((await readerOf(object)).read(0, 1)), refusedAs("segment"));
});

test("under another key of an object nothing opens", async () => {
  const object = await encrypted(plainOf(10));
  await assert.rejects(readerOf(object, `${KEY} `), refusedAs("segment"));
  await assert.rejects(readerOf(object, encodeURI(KEY)), refusedAs("segment"));
});

test("each byte of a header that is changed is found", async () => {
  const header = await makeHeader(vault, random(32));
  for (let place = 0; place < HEADER_SIZE; place++) {
    const changed = header.slice();
    changed[place] ^= 0x80;
    await assert.rejects(openHeader(vault, changed), { name: "RecordingError" }, `byte ${place}`);
  }
  await assert.rejects(openHeader(vault, header.subarray(0, 127)), refusedAs("length"));
});

test("another recording's own key is refused by the commitment", async () => {
  const source = countedSource(await encrypted(plainOf(10)));
  await assert.rejects(RecordingReader.openWithFileKey(random(32), KEY, source), refusedAs("commitment"));
});

// ---- A stream whose end is not known ----------------------------------------------------------------------

test("a stream gives a segment once it is certain not to be the last", async () => {
  const writer = await SegmentedWriter.open(vault, KEY);
  assert.deepEqual(await writer.write(plainOf(FIRST)), []);
  assert.deepEqual(await writer.write(new Uint8Array()), []);
  const [segment, ...more] = await writer.write(new Uint8Array(1));
  assert.deepEqual([segment.length, more.length], [FIRST + 16, 0]);
  assert.equal((await writer.close()).length, 1 + 16);
});

test("bytes of a stream are taken in the order of the calls", async () => {
  const plain = plainOf(300_000);
  const writer = await SegmentedWriter.open(vault, KEY);
  const steps = Array.from({ length: 300 }, (_, index) => plain.subarray(index * 1000, (index + 1) * 1000));
  const pieces = [...steps.map((step) => writer.write(step)), writer.close().then((last) => [last])];
  const object = concat(writer.beginning, ...(await Promise.all(pieces)).flat());
  assert.ok(equal(await whole((await readerOf(object)).read()), plain));
});

test("a stream that was closed takes nothing more", async () => {
  const writer = await SegmentedWriter.open(vault, KEY);
  await writer.close();
  assert.throws(() => writer.write(new Uint8Array(1)), TypeError);
  assert.throws(() => writer.close(), TypeError);
});

test("pieces are collected in a Blob of their type", async () => {
  const blob = await collect([Uint8Array.of(1), Uint8Array.of(2, 3)], "audio/mp4");
  assert.deepEqual([blob.size, blob.type], [3, "audio/mp4"]);
});
