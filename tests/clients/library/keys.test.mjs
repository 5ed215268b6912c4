// The vault: what opens it, what does not, and that no script reads it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageChannel } from "node:worker_threads";

import * as hpke from "hpke";

import { toBase64, toHex, utf8 } from "../../../panzoto/console/library/bytes.js";
import { openVault, vaultFromKey } from "../../../panzoto/console/library/keys.js";
import { sealName, openName } from "../../../panzoto/console/library/names.js";
import { openTranscript, sealTranscript } from "../../../panzoto/console/library/transcripts.js";
import { ACCOUNT, argon2id, vault, WORDS } from "./support.mjs";

const FILE_ID = "0b9c8f3e-7a55-4a1b-8f6f-9d1c2b3a4e5f";
const DOCUMENT = utf8('{"segments":[]}');

/** The account with other fields in its vault. */
const changed = (fields) => ({ ...ACCOUNT, vault: { ...ACCOUNT.vault, ...fields } });
const withKdf = (fields) => changed({ kdf: { ...ACCOUNT.vault.kdf, ...fields } });
const never = async () => assert.fail("Argon2id was computed");

test("no key of it can be read", async () => {
  const keys = [vault.key, vault.wrappingKey, vault.namesKey, vault.transcripts.privateKey];
  for (const key of keys) {
    assert.equal(key.extractable, false);
    await assert.rejects(crypto.subtle.exportKey("jwk", key));
  }
});

test("it is the same from the key that was kept", async () => {
  const again = await vaultFromKey(vault.key, WORDS.transcripts_public_key);
  assert.deepEqual(again.keyId, vault.keyId);
  assert.deepEqual(again.transcripts.publicKey, vault.transcripts.publicKey);
  assert.equal(again.transcripts.foreign, false);
  assert.equal(await openName(again, "note", FILE_ID, await sealName(vault, "note", FILE_ID, "Grüße")), "Grüße");
});

test("it can be posted to a worker", async () => {
  const { port1, port2 } = new MessageChannel();
  const arrived = new Promise((resolve) => port2.once("message", resolve));
  port1.postMessage(vault);
  const other = await arrived;
  port1.close();
  const sealed = await sealTranscript(hpke, vault, ACCOUNT.user_id, FILE_ID, DOCUMENT);
  assert.deepEqual(await openTranscript(hpke, other, ACCOUNT.user_id, FILE_ID, sealed), DOCUMENT);
});

test("a wrong password does not open it", async () => {
  await assert.rejects(openVault(ACCOUNT, "correct horse - battery", argon2id), { reason: "password" });
  await assert.rejects(openVault(ACCOUNT, ` ${ACCOUNT.password}`, argon2id), { reason: "password" });
  await assert.rejects(openVault(ACCOUNT, "", never), { reason: "password" });
});

test("another user's vault does not open", async () => {
  const stranger = { ...ACCOUNT, user_id: "00000000-0000-4000-8000-000000000000" };
  await assert.rejects(openVault(stranger, ACCOUNT.password, argon2id), { reason: "password" });
});

for (const [what, account, reason] of [
  ["no vault", { ...ACCOUNT, vault: null }, "no_vault"],
  ["a later version", changed({ version: 2 }), "version"],
  ["64 GiB of memory", withKdf({ memory_cost_kib: 64 * 1024 * 1024 }), "parameters"],
  ["a thousand passes", withKdf({ time_cost: 1000 }), "parameters"],
  ["a cost that makes guessing cheap", withKdf({ memory_cost_kib: 64 }), "parameters"],
  ["half a pass", withKdf({ time_cost: 2.5 }), "parameters"],
  ["parallelism as a text", withKdf({ parallelism: "4" }), "parameters"],
  ["another algorithm", withKdf({ algorithm: "argon2i" }), "parameters"],
  ["another version of Argon2", withKdf({ version: 16 }), "parameters"],
  ["a short salt", withKdf({ salt: "00".repeat(16) }), "parameters"],
  ["a salt that is no hex", withKdf({ salt: "zz".repeat(32) }), "damaged"],
  ["a wrapped key that is no base64", changed({ wrapped_key: "no base64!" }), "damaged"],
]) {
  test(`${what} is refused before Argon2id is computed`, async () => {
    const error = await openVault(account, ACCOUNT.password, never).catch((refusal) => refusal);
    assert.deepEqual([error.name, error.reason], ["AccountError", reason]);
  });
}

test("an empty wrapped key, or a name that is not the key's, is refused", async () => {
  const emptied = changed({ wrapped_key: "" });
  await assert.rejects(openVault(emptied, ACCOUNT.password, argon2id), { reason: "password" });
  const renamed = changed({ key_id: "00".repeat(16) });
  await assert.rejects(openVault(renamed, ACCOUNT.password, argon2id), { reason: "damaged" });
});

test("what the owner's Argon2id rejects with goes through", async () => {
  const full = new Error("no memory");
  const failing = async () => {
    throw full;
  };
  await assert.rejects(openVault(ACCOUNT, ACCOUNT.password, failing), full);
});

test("a foreign key for transcripts stops transcripts and nothing else", async () => {
  const told = toBase64(new Uint8Array(32));
  const account = changed({ transcripts_public_key: told });
  const opened = await openVault(account, ACCOUNT.password, argon2id);
  assert.equal(opened.transcripts.foreign, true);
  assert.equal((await vaultFromKey(vault.key, told)).transcripts.foreign, true);
  assert.equal(toHex(opened.keyId), ACCOUNT.vault.key_id);
  assert.equal(await openName(opened, "title", FILE_ID, await sealName(opened, "title", FILE_ID, "Tea")), "Tea");
  const refused = { name: "AccountError", reason: "foreign" };
  await assert.rejects(sealTranscript(hpke, opened, ACCOUNT.user_id, FILE_ID, DOCUMENT), refused);
  const sealed = await sealTranscript(hpke, vault, ACCOUNT.user_id, FILE_ID, DOCUMENT);
  await assert.rejects(openTranscript(hpke, opened, ACCOUNT.user_id, FILE_ID, sealed), refused);
});

test("no key for transcripts yet, or the vault's own, is not foreign", async () => {
  for (const told of [null, undefined, WORDS.transcripts_public_key]) {
    assert.equal((await vaultFromKey(vault.key, told)).transcripts.foreign, false);
  }
});
