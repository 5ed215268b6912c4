// All vectors of tests/vectors through the library, and the values of docs/clients.md, section 9.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as hpke from "hpke";

import { fromBase64, fromHex, toBase64, toHex } from "../../../panzoto/console/library/bytes.js";
import { RecordingError, TranscriptError } from "../../../panzoto/console/library/errors.js";
import { isVersion2 } from "../../../panzoto/console/library/header.js";
import { vaultFromKey } from "../../../panzoto/console/library/keys.js";
import { openName } from "../../../panzoto/console/library/names.js";
import { fileKeyOf, RecordingReader } from "../../../panzoto/console/library/recordings.js";
import { decryptSingle } from "../../../panzoto/console/library/single-shot.js";
import { openTranscript } from "../../../panzoto/console/library/transcripts.js";
import { ACCOUNT, countedSource, sha256, vault, vectorBytes, whole, WORDS } from "./support.mjs";

// What a case fails for is in its name, but for these.
const SINGLE_SHOT_REASON = "tag";
const REASONS = {
  "v2-renamed": "segment",
  "v2-cut-at-segment": "segment",
  "v2-cut-inside-segment": "segment",
  "v2-appended": "segment",
  "v2-segments-swapped": "stream_header",
  "v2-flipped-key-id": "key_id",
  "v2-flipped-wrapped-key": "wrapped_key",
  "v2-flipped-commitment": "commitment",
  "v2-flipped-flags": "flags",
  "v2-flipped-reserved": "reserved",
  "v2-flipped-stream-header": "stream_header",
  "v2-flipped-stream-salt": "segment",
  "v2-flipped-middle": "segment",
  "v2-flipped-last-tag": "segment",
};
const NO_DOCUMENTS = ["unknown-encoding", "not-json", "bad-deflate", "deflates-to-64-mib"];

async function opened({ file, s3_key: s3Key }) {
  const object = vectorBytes(file);
  if (!isVersion2(object)) return (await decryptSingle(ACCOUNT, ACCOUNT.password, object)).plain;
  return whole((await RecordingReader.open(vault, s3Key, countedSource(object))).read());
}

for (const vector of ACCOUNT.cases) {
  test(`the recording ${vector.name} ${vector.expect}`, async () => {
    if (vector.expect === "opens") {
      const plain = await opened(vector);
      assert.equal(plain.length, vector.plain_length);
      assert.equal(sha256(plain), vector.plain_sha256);
    } else {
      const reason = REASONS[vector.name] ?? SINGLE_SHOT_REASON;
      await assert.rejects(opened(vector), (error) => error instanceof RecordingError && error.reason === reason);
    }
  });
}

for (const vector of ACCOUNT.cases.filter(({ name }) => name.startsWith("v2-") && name !== "v2-renamed")) {
  test(`the recording ${vector.name} ${vector.expect} with its own key`, async () => {
    const object = vectorBytes(vector.file);
    let fileKey;
    try {
      fileKey = await fileKeyOf(vault, countedSource(object));
    } catch (error) {
      assert.equal(error.reason, REASONS[vector.name]);
      return;
    }
    const opening = RecordingReader.openWithFileKey(fileKey, vector.s3_key, countedSource(object));
    const plain = opening.then((reader) => whole(reader.read()));
    if (vector.expect === "opens") assert.equal(sha256(await plain), vector.plain_sha256);
    else await assert.rejects(plain, { name: "RecordingError", reason: REASONS[vector.name] });
  });
}

for (const vector of WORDS.transcripts.filter(({ user_id: userId }) => userId === WORDS.user_id)) {
  test(`the transcript ${vector.name} ${vector.expect}`, async () => {
    const sealed = fromBase64(vector.sealed);
    const opening = openTranscript(hpke, vault, vector.user_id, vector.file_id, sealed);
    if (vector.expect === "opens") {
      assert.equal(sha256(await opening), vector.document_sha256);
    } else {
      const reason = NO_DOCUMENTS.includes(vector.name) ? "document" : "sealed";
      await assert.rejects(opening, (error) => error instanceof TranscriptError && error.reason === reason);
    }
  });
}

for (const vector of WORDS.transcripts.filter(({ user_id: userId }) => userId !== WORDS.user_id)) {
  test(`the transcript ${vector.name} ${vector.expect} for this account`, async () => {
    const { user_id: userId, file_id: fileId, sealed, expect } = vector;
    const opening = openTranscript(hpke, vault, userId, fileId, fromBase64(sealed));
    if (expect === "opens") assert.equal(sha256(await opening), vector.document_sha256);
    else await assert.rejects(opening, { reason: "sealed" });
  });
}

for (const { what, file_id: fileId, value, text } of WORDS.names) {
  test(`the ${what} of ${text.length} characters opens`, async () => {
    assert.equal(await openName(vault, what, fileId, value), text);
  });
}

test("the vault is that of the vectors", async () => {
  assert.equal(toHex(vault.keyId), ACCOUNT.vault.key_id);
  assert.equal(toBase64(vault.transcripts.publicKey), WORDS.transcripts_public_key);
  const bare = await crypto.subtle.importKey("raw", fromHex(ACCOUNT.vault_key), "HKDF", false, [
    "deriveBits",
    "deriveKey",
  ]);
  const again = await vaultFromKey(bare);
  assert.equal(toHex(again.keyId), ACCOUNT.vault.key_id);
  assert.equal(toBase64(again.transcripts.publicKey), WORDS.transcripts_public_key);
});

test("the own key of a recording is that of the guide", async () => {
  const source = countedSource(vectorBytes("v2-one-byte.bin"));
  assert.equal(
    toHex(await fileKeyOf(vault, source)),
    "122a498d1cc20c8599b6e4f7c12aecceef5130beb1c39bc01f7c3729a35028f1",
  );
});
