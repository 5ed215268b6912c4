// Transcripts, titles and notes: what is written comes back, and nothing else does.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as hpke from "hpke";

import { concat, fromBase64, toBase64, utf8 } from "../../../panzoto/console/library/bytes.js";
import { LONGEST_NAME, openName, sealName } from "../../../panzoto/console/library/names.js";
import { openTranscript, sealTranscript } from "../../../panzoto/console/library/transcripts.js";
import { ACCOUNT, vault } from "./support.mjs";

const FILE_ID = "0b9c8f3e-7a55-4a1b-8f6f-9d1c2b3a4e5f";
const OTHER_ID = "00000000-0000-4000-8000-000000000000";
const MIB = 1024 * 1024;

const sealed = (json, fileId = FILE_ID) =>
  sealTranscript(hpke, vault, ACCOUNT.user_id, fileId, typeof json === "string" ? utf8(json) : json);
const opened = (bytes, fileId = FILE_ID, userId = ACCOUNT.user_id) =>
  openTranscript(hpke, vault, userId, fileId, bytes);
const refusedAs = (reason) => ({ name: "TranscriptError", reason });

/** A document that is so long, and does not shrink. */
const long = (size) => utf8(`{"text":"${"x".repeat(size - 11)}"}`);

for (const [what, json] of [
  ["a short document", '{"segments":[]}'],
  ["an empty object", "{}"],
  ["other scripts", JSON.stringify({ segments: [{ start_ms: 0, end_ms: 9, text: "Grüße 🌊 東京" }] })],
  ["the deepest document", `{"a":${"[".repeat(99)}${"]".repeat(99)}}`],
]) {
  test(`${what} comes back`, async () => {
    assert.deepEqual(await opened(await sealed(json)), utf8(json));
  });
}

test("a long document is deflated, and one of 16 MiB comes back", async () => {
  const json = long(16 * MIB);
  const bytes = await sealed(json);
  assert.ok(bytes.length < MIB);
  assert.equal((await opened(bytes)).length, json.length);
});

for (const [what, json] of [
  ["nothing", ""],
  ["no JSON", "{"],
  ["a list", "[]"],
  ["null", "null"],
  ["a number", "1"],
  ["no UTF-8", Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)],
  ["a byte order mark", '\ufeff{"segments":[]}'],
  ["what is nested too deeply", `{"a":${"[".repeat(100)}${"]".repeat(100)}}`],
  ["more than 16 MiB", long(16 * MIB + 1)],
]) {
  test(`${what} is not sealed`, () => assert.rejects(sealed(json), refusedAs("document")));
}

test("nothing is sealed twice alike", async () => {
  assert.notDeepEqual(await sealed("{}"), await sealed("{}"));
});

test("a transcript of another recording or account does not open", async () => {
  const bytes = await sealed("{}");
  await assert.rejects(opened(bytes, OTHER_ID), refusedAs("sealed"));
  await assert.rejects(opened(bytes, FILE_ID, OTHER_ID), refusedAs("sealed"));
  await assert.rejects(opened(bytes, FILE_ID.toUpperCase()), refusedAs("sealed"));
});

test("a transcript that was changed or cut anywhere does not open", async () => {
  const bytes = await sealed('{"segments":[]}');
  for (let place = 0; place < bytes.length; place++) {
    const changed = bytes.slice();
    changed[place] ^= 0x40;
    await assert.rejects(opened(changed), refusedAs("sealed"), `byte ${place}`);
    await assert.rejects(opened(bytes.subarray(0, place)), refusedAs("sealed"), `cut at ${place}`);
  }
  await assert.rejects(opened(concat(bytes, Uint8Array.of(0))), refusedAs("sealed"));
});

test("a key of small order is a damaged transcript and no fault", async () => {
  const bytes = await sealed("{}");
  await assert.rejects(opened(concat(new Uint8Array(32), bytes.subarray(32))), refusedAs("sealed"));
});

test("a fault of the HPKE that was handed over is none of the transcript", async () => {
  const broken = { ...hpke, CipherSuite: class { Open = () => Promise.reject(new TypeError("a fault")); } };
  const bytes = await sealed("{}");
  await assert.rejects(openTranscript(broken, vault, ACCOUNT.user_id, FILE_ID, bytes), TypeError);
});

// ---- Titles and notes -------------------------------------------------------------------------------------

for (const text of ["", "Mum about the garden", "Straße, 10 Uhr – überweisen!", "\ufeff🌊", "a\0b"]) {
  test(`the title ${JSON.stringify(text)} comes back`, async () => {
    assert.equal(await openName(vault, "title", FILE_ID, await sealName(vault, "title", FILE_ID, text)), text);
  });
}

test("the longest note has 4 KiB as the service counts, and a byte more has more", async () => {
  const longest = await sealName(vault, "note", FILE_ID, "é".repeat(LONGEST_NAME / 2));
  assert.equal(longest.length, 4096);
  const more = await sealName(vault, "note", FILE_ID, "x".repeat(LONGEST_NAME + 1));
  assert.ok(more.length > 4096);
});

test("a title is no note, nor another recording's, and no title of an app of before", async () => {
  const title = await sealName(vault, "title", FILE_ID, "Tea");
  const refused = refusedAs("name");
  await assert.rejects(openName(vault, "note", FILE_ID, title), refused);
  await assert.rejects(openName(vault, "title", OTHER_ID, title), refused);
  for (const value of ["", "c2VhbGVk", "no base64!", "Kitchen, Monday", toBase64(new Uint8Array(28))]) {
    await assert.rejects(openName(vault, "title", FILE_ID, value), refused, value);
  }
  const changed = fromBase64(title);
  changed[12] ^= 1;
  await assert.rejects(openName(vault, "title", FILE_ID, toBase64(changed)), refused);
});

test("what opens and is no UTF-8 is refused, not shown with question marks", async () => {
  const nonce = new Uint8Array(12);
  const additionalData = utf8(`panzoto/v2/title\0${FILE_ID}`);
  const aes = { name: "AES-GCM", iv: nonce, additionalData };
  const bytes = new Uint8Array(await crypto.subtle.encrypt(aes, vault.namesKey, Uint8Array.of(0xff, 0xfe)));
  await assert.rejects(openName(vault, "title", FILE_ID, toBase64(concat(nonce, bytes))), refusedAs("name"));
});
