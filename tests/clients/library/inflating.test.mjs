// A transcript of a megabyte that would inflate to one gigabyte; in a process of its own, whose memory is looked at.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createDeflateRaw } from "node:zlib";

import * as hpke from "hpke";

import { concat, utf8 } from "../../../panzoto/console/library/bytes.js";
import { openTranscript } from "../../../panzoto/console/library/transcripts.js";
import { ACCOUNT, vault } from "./support.mjs";

const FILE_ID = "0b9c8f3e-7a55-4a1b-8f6f-9d1c2b3a4e5f";
const MIB = 1024 * 1024;

async function deflatedZeros(size) {
  const stream = createDeflateRaw({ level: 1 });
  const zeros = Buffer.alloc(MIB);
  const writing = (async () => {
    for (let written = 0; written < size; written += MIB) {
      if (!stream.write(zeros)) await new Promise((resolve) => stream.once("drain", resolve));
    }
    stream.end();
  })();
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  await writing;
  return concat(...pieces);
}

test("it is inflated no further than a document may be", async () => {
  const suite = new hpke.CipherSuite(
    hpke.KEM_DHKEM_X25519_HKDF_SHA256,
    hpke.KDF_HKDF_SHA256,
    hpke.AEAD_AES_256_GCM,
  );
  const publicKey = await suite.DeserializePublicKey(vault.transcripts.publicKey);
  const info = utf8(`panzoto/v2/transcript\0${ACCOUNT.user_id}\0${FILE_ID}`);
  const plain = concat(Uint8Array.of(1), await deflatedZeros(1024 * MIB));
  const { encapsulatedSecret, ciphertext } = await suite.Seal(publicKey, plain, { info });
  const before = process.resourceUsage().maxRSS;
  const sealed = concat(encapsulatedSecret, ciphertext);
  const opening = openTranscript(hpke, vault, ACCOUNT.user_id, FILE_ID, sealed);
  await assert.rejects(opening, { name: "TranscriptError", reason: "document" });
  assert.ok((process.resourceUsage().maxRSS - before) / 1024 < 256, "MiB were taken for it");
});
