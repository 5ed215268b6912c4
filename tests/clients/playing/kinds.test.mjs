// What the first bytes say of sound, and what its files are called.

import assert from "node:assert/strict";
import test from "node:test";

import { endingOf, isUnheardOf, kindOf } from "../../../panzoto/console/playing/kinds.js";
import { stemOf } from "../../../panzoto/console/playing/names.js";

const bytes = (text) => Uint8Array.from(text, (sign) => sign.charCodeAt(0));
const beginnings = {
  "#!AMR\n\x3c": "audio/amr",
  "#!AMR-WB\n\x04": "audio/amr-wb",
  "RIFF\x24\x00\x00\x00WAVEfmt ": "audio/wav",
  "OggS\x00\x02": "audio/ogg",
  "fLaC\x00": "audio/flac",
  "\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm": "audio/webm",
  "\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x88matroska": "video/x-matroska",
  "\x00\x00\x00\x1cftyp3gp4": "audio/3gpp",
  "\x00\x00\x00\x1cftypM4A ": "audio/mp4",
  "ID3\x04": "audio/mpeg",
  "\xff\xfb\x90": "audio/mpeg",
  "\xff\xf1\x50": "audio/aac",
  "\xff\xf9\x50": "audio/aac",
};
for (const [beginning, kind] of Object.entries(beginnings)) {
  test(`${kind} says so itself`, () => assert.equal(kindOf(bytes(beginning), "text/html"), kind));
}

test("what the bytes do not say was announced, if it is sound", () => {
  const nothing = bytes("nothing of that kind");
  assert.equal(kindOf(nothing, "audio/L16; rate=16000"), "audio/l16");
  assert.equal(kindOf(nothing, "VIDEO/MP2T"), "video/mp2t");
  for (const announced of [null, "text/html", "image/svg+xml", "video/x-script", "audio/<b>"]) {
    assert.equal(kindOf(nothing, announced), "application/octet-stream");
  }
  assert.equal(kindOf(new Uint8Array(), null), "application/octet-stream");
});

test("browsers play no bare AMR", () => {
  assert.ok(isUnheardOf("audio/amr") && isUnheardOf("audio/amr-wb"));
  assert.ok(!isUnheardOf("audio/3gpp") && !isUnheardOf("audio/wav"));
});

test("files end as their kind does", () => {
  assert.equal(endingOf("audio/mp4"), ".m4a");
  assert.equal(endingOf("audio/amr"), ".amr");
  assert.equal(endingOf("application/octet-stream"), ".bin");
});

test("names are such as disks take", () => {
  const at = new Date(2026, 4, 1, 9, 5);
  assert.equal(stemOf("A walk", at), "A walk");
  assert.equal(stemOf("  ../etc/passwd:  \"now\"?  ", at), "etc passwd now");
  assert.equal(stemOf("\u202egpj.exe", at), "gpj.exe");
  assert.equal(stemOf("", at), "2026-05-01 09.05");
  assert.equal(stemOf(" / ", at), "2026-05-01 09.05");
  const long = stemOf("日".repeat(500), at);
  assert.ok(new TextEncoder().encode(long).length <= 200 && long.length > 60);
});
