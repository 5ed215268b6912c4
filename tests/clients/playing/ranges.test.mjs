// Which bytes a Range header asks for, and how they are answered.

import assert from "node:assert/strict";
import test from "node:test";

import { answerFile, answerRange, plainStream, rangeOf } from "../../../panzoto/console/playing/ranges-worker.js";

const cases = {
  "bytes=0-": [0, 100],
  "bytes=0-1": [0, 2],
  "bytes=99-99": [99, 100],
  "bytes=20-1000": [20, 100],
  "bytes=-30": [70, 100],
  "bytes=-300": [0, 100],
  " bytes=3-4 ": [3, 5],
  "bytes=100-": "none",
  "bytes=-0": "none",
  "bytes=5-4": null,
  "bytes=0-1,5-6": null,
  "bytes=-": null,
  "lines=0-1": null,
  "bytes=a-b": null,
};
for (const [header, expected] of Object.entries(cases)) {
  test(`a hundred bytes, ${header}`, () => assert.deepEqual(rangeOf(header, 100), expected));
}

test("no header asks for all", () => assert.equal(rangeOf(null, 100), null));
test("nothing has no range", () => {
  for (const header of ["bytes=0-", "bytes=0-0", "bytes=-1"]) assert.equal(rangeOf(header, 0), "none");
});

const plain = Uint8Array.from({ length: 1000 }, (_, index) => index % 251);
/** A reader of pieces of 64 bytes, which counts what is asked of it. */
const readerOf = (fails = Infinity) => ({
  length: plain.length,
  given: 0,
  async *read(start, stop, { signal } = {}) {
    for (let at = start; at < stop; at += 64) {
      signal?.throwIfAborted();
      if (at >= fails) throw new Error("damaged");
      this.given++;
      yield plain.slice(at, Math.min(at + 64, stop));
    }
  },
});

test("a range is answered with its bytes alone", async () => {
  const request = new Request("https://panzoto.example/", { headers: { Range: "bytes=100-399" } });
  const answer = answerRange(request, { reader: readerOf(), kind: "audio/wav" }, assert.fail);
  assert.equal(answer.status, 206);
  assert.equal(answer.headers.get("Content-Range"), "bytes 100-399/1000");
  assert.equal(answer.headers.get("Content-Length"), "300");
  assert.equal(answer.headers.get("Cache-Control"), "no-store");
  assert.deepEqual(new Uint8Array(await answer.arrayBuffer()), plain.slice(100, 400));
});

test("a stream goes no faster than it is read, and stops when nobody reads", async () => {
  const reader = readerOf();
  const stream = plainStream(reader, 0, 1000, assert.fail).getReader();
  assert.equal(reader.given, 0);
  await stream.read();
  await stream.read();
  assert.equal(reader.given, 2);
  await stream.cancel();
  assert.equal(reader.given, 2);
});

test("a body breaks off where the recording is damaged, and says why", async () => {
  const failures = [];
  const answer = answerRange(
    new Request("https://panzoto.example/"),
    { reader: readerOf(128), kind: "audio/wav" },
    (failure) => failures.push(failure.message),
  );
  await assert.rejects(answer.arrayBuffer());
  assert.deepEqual(failures, ["damaged"]);
});

test("names in any script reach the browser, and none leaves its header", () => {
  const said = (name) => answerFile(new ReadableStream(), { name, kind: "audio/wav" }).headers.get("Content-Disposition");
  assert.equal(said("walk.wav"), "attachment; filename=\"walk.wav\"; filename*=UTF-8''walk.wav");
  assert.equal(said("日記.wav"), "attachment; filename=\"__.wav\"; filename*=UTF-8''%E6%97%A5%E8%A8%98.wav");
  assert.equal(said("it's (1).wav"), "attachment; filename=\"it's (1).wav\"; filename*=UTF-8''it%27s%20%281%29.wav");
  assert.match(said('a"\\\r\nb.wav'), /^attachment; filename="a____b\.wav"; filename\*=UTF-8''a%22%5C%0D%0Ab\.wav$/);
});
