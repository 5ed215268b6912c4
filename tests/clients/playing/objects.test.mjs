// How an object is read at addresses that are good for a while only.

import assert from "node:assert/strict";
import test from "node:test";

import { objectSource } from "../../../panzoto/console/playing/objects.js";

const objectAt = (number) => ({
  url: `https://bucket.example/${number}`,
  etag: '"one"',
  size: 100,
  expires_at: new Date(Date.now() + 900_000).toISOString(),
});

/** A bucket at which the first `over` addresses are over, and what was asked of it and of the service. */
function bucket(t, over) {
  const asked = [];
  let made = 0;
  t.mock.method(globalThis, "fetch", async (url) => {
    const number = Number(url.split("/").at(-1));
    asked.push(number);
    return number < over ? new Response("<Error/>", { status: 403 }) : new Response("abc", { status: 206 });
  });
  return { asked, source: objectSource(objectAt(0), async () => objectAt(++made)) };
}

const text = (bytes) => new TextDecoder().decode(bytes);

test("what is over before it was asked at is renewed again", async (t) => {
  const { asked, source } = bucket(t, 3);
  assert.equal(text(await source.read(0, 3)), "abc");
  assert.deepEqual(asked, [0, 1, 2, 3]);
});

test("a bucket that refuses every address is told of in the end", async (t) => {
  const { asked, source } = bucket(t, Infinity);
  await assert.rejects(source.read(0, 3), { name: "ObjectError", code: "refused" });
  assert.deepEqual(asked, [0, 1, 2, 3, 4]);
});

test("several ranges that find an address over ask for one new one", async (t) => {
  const { asked, source } = bucket(t, 1);
  const read = await Promise.all([source.read(0, 3), source.read(3, 6), source.read(6, 9)]);
  assert.deepEqual(read.map(text), ["abc", "abc", "abc"]);
  assert.deepEqual(asked, [0, 0, 0, 1, 1, 1]);
});
