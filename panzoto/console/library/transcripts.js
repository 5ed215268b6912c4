// Transcripts as they are sealed to an account: docs/clients.md, section 6.3.
//
// HPKE (RFC 9180) is handed to these functions: it is npm's `hpke` as a module.

import { ascii, concat, fromUtf8 } from "./bytes.js";
import { AccountError, TranscriptError } from "./errors.js";
import { KEY_SIZE, TAG_SIZE } from "./primitives.js";

/** @import {Bytes} from "./bytes.js" */
/** @import {Vault} from "./keys.js" */

/**
 * What is used of npm's `hpke`.
 *
 * @typedef {object} Hpke
 * @property {new (kem: any, kdf: any, aead: any) => HpkeSuite} CipherSuite
 * @property {any} KEM_DHKEM_X25519_HKDF_SHA256
 * @property {any} KDF_HKDF_SHA256
 * @property {any} AEAD_AES_256_GCM
 *
 * @typedef {object} HpkeSuite
 * @property {(publicKey: CryptoKey, plain: Bytes, options: { info: Bytes }) =>
 *   Promise<{ encapsulatedSecret: Uint8Array, ciphertext: Uint8Array }>} Seal
 * @property {(pair: { privateKey: CryptoKey, publicKey: CryptoKey }, enc: Bytes, sealed: Bytes,
 *   options: { info: Bytes }) => Promise<Uint8Array>} Open
 */

const LARGEST_DOCUMENT = 16 * 1024 * 1024;
const DEEPEST_DOCUMENT = 100;
// How hpke names what does not open; anything else is a fault and no damaged transcript.
const REFUSALS = ["OpenError", "DecapError", "DeserializeError"];

/** @type {WeakMap<Hpke, HpkeSuite>} */
const suites = new WeakMap();
/** @type {WeakMap<Vault, Promise<CryptoKey>>} */
const publicKeys = new WeakMap();

/**
 * Seal a transcript's document to the account; deflated where that is shorter.
 *
 * Rejects with a TranscriptError (`document`) for what is no JSON object, is above 16 MiB or nested deeper
 * than 100, and with an AccountError (`foreign`) where the account names a key that is not the vault's.
 *
 * @param {Hpke} hpke
 * @param {Vault} vault
 * @param {string} userId
 * @param {string} fileId
 * @param {Bytes} documentBytes JSON in UTF-8
 * @returns {Promise<Bytes>}
 */
export async function sealTranscript(hpke, vault, userId, fileId, documentBytes) {
  refuseForeign(vault);
  checkDocument(documentBytes);
  const deflated = await squeezed(documentBytes, new CompressionStream("deflate-raw"));
  const isShorter = deflated !== null && deflated.length < documentBytes.length;
  const plain = isShorter
    ? concat(Uint8Array.of(1), deflated)
    : concat(Uint8Array.of(0), documentBytes);
  const info = infoOf(userId, fileId);
  const sealed = await suiteOf(hpke).Seal(await publicKeyOf(vault), plain, { info });
  return concat(sealed.encapsulatedSecret, sealed.ciphertext);
}

/**
 * Resolves to the JSON of a sealed transcript.
 *
 * Rejects with a TranscriptError, `sealed` where it does not open and `document` where it opens as no
 * transcript, and with an AccountError (`foreign`) as sealing does.
 *
 * @param {Hpke} hpke
 * @param {Vault} vault
 * @param {string} userId
 * @param {string} fileId
 * @param {Bytes} sealedBytes
 * @returns {Promise<Bytes>}
 */
export async function openTranscript(hpke, vault, userId, fileId, sealedBytes) {
  refuseForeign(vault);
  if (sealedBytes.length <= KEY_SIZE + TAG_SIZE) throw notOpened();
  const pair = { privateKey: vault.transcripts.privateKey, publicKey: await publicKeyOf(vault) };
  const [enc, sealed] = [sealedBytes.slice(0, KEY_SIZE), sealedBytes.slice(KEY_SIZE)];
  const info = infoOf(userId, fileId);
  let plain;
  try {
    plain = await suiteOf(hpke).Open(pair, enc, sealed, { info });
  } catch (error) {
    if (error instanceof Error && REFUSALS.includes(error.name)) throw notOpened();
    throw error;
  }
  return readDocument(new Uint8Array(plain));
}

const notOpened = () => new TranscriptError("sealed", "The transcript is damaged, or is another recording's");
const noDocument = () => new TranscriptError("document", "What was sealed is no transcript");

/** @param {Vault} vault */
function refuseForeign(vault) {
  if (!vault.transcripts.foreign) return;
  throw new AccountError("foreign", "The account seals transcripts to a key that is not its vault's");
}

/** @param {Hpke} hpke */
function suiteOf(hpke) {
  let suite = suites.get(hpke);
  if (suite === undefined) {
    suite = new hpke.CipherSuite(
      hpke.KEM_DHKEM_X25519_HKDF_SHA256,
      hpke.KDF_HKDF_SHA256,
      hpke.AEAD_AES_256_GCM,
    );
    suites.set(hpke, suite);
  }
  return suite;
}

/**
 * The vault's public key as WebCrypto has it, imported once: ten thousand transcripts need it.
 *
 * @param {Vault} vault
 */
function publicKeyOf(vault) {
  let imported = publicKeys.get(vault);
  if (imported === undefined) {
    const { publicKey } = vault.transcripts;
    imported = globalThis.crypto.subtle.importKey("raw", publicKey, { name: "X25519" }, true, []);
    publicKeys.set(vault, imported);
  }
  return imported;
}

/**
 * @param {string} userId
 * @param {string} fileId
 */
const infoOf = (userId, fileId) => ascii(`panzoto/v2/transcript\0${userId}\0${fileId}`);

/**
 * The JSON in what was sealed: as it is, or inflated no further than 16 MiB.
 *
 * @param {Bytes} plain
 */
async function readDocument(plain) {
  let found = null;
  if (plain[0] === 0) found = plain.subarray(1);
  if (plain[0] === 1) found = await squeezed(plain.slice(1), new DecompressionStream("deflate-raw"));
  if (found === null) throw noDocument();
  checkDocument(found);
  return found;
}

/** @param {Bytes} json */
function checkDocument(json) {
  if (json.length > LARGEST_DOCUMENT || !isShallowObject(json)) throw noDocument();
}

/** @param {Bytes} json */
function isShallowObject(json) {
  let value;
  try {
    value = JSON.parse(fromUtf8(json));
  } catch {
    return false;
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) return false;
  /** @type {(outer: object) => object[]} */
  const inside = (outer) => Object.values(outer).filter((one) => one !== null && typeof one === "object");
  /** @type {object[]} */
  let level = [value];
  for (let depth = 0; depth < DEEPEST_DOCUMENT && level.length > 0; depth++) level = level.flatMap(inside);
  return level.length === 0;
}

/**
 * What comes out of a stream of (de)compression; null for what is damaged, or longer than a document.
 *
 * @param {Bytes} bytes
 * @param {CompressionStream | DecompressionStream} stream
 * @returns {Promise<Bytes | null>}
 */
async function squeezed(bytes, stream) {
  const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader();
  const pieces = [];
  let size = 0;
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      pieces.push(read.value);
      size += read.value.length;
      if (size > LARGEST_DOCUMENT) return null;
    }
  } catch {
    return null;
  } finally {
    await reader.cancel().catch(() => {});
  }
  return concat(...pieces);
}
