// The vault and what is derived from it: docs/clients.md, section 2.

import { ascii, concat, equal, fromBase64, fromHex, toBase64, utf8 } from "./bytes.js";
import { AccountError } from "./errors.js";
import { aesKey, KEY_SIZE, NONCE_SIZE, open } from "./primitives.js";

/** @import {Bytes} from "./bytes.js" */

/**
 * What register, login or recover returned, as far as it matters here.
 *
 * @typedef {object} Account
 * @property {string} user_id
 * @property {{ email: string }} user
 * @property {string} [key_salt] hex digits; single-shot recordings need it
 * @property {AccountVault | null} [vault]
 *
 * @typedef {object} AccountVault
 * @property {number} version
 * @property {string} key_id 32 hex digits
 * @property {KeyDerivation} kdf
 * @property {string} wrapped_key base64
 * @property {string | null} [transcripts_public_key] base64
 *
 * @typedef {object} KeyDerivation
 * @property {string} algorithm
 * @property {number} version
 * @property {number} time_cost
 * @property {number} memory_cost_kib
 * @property {number} parallelism
 * @property {string} salt 64 hex digits
 */

/**
 * Argon2id as it is handed to this library, 32 bytes out; memory in KiB.
 *
 * @typedef {object} Argon2Request
 * @property {Bytes} password
 * @property {Bytes} salt
 * @property {number} iterations
 * @property {number} memorySize
 * @property {number} parallelism
 * @property {number} hashLength
 *
 * @typedef {(asked: Argon2Request) => Promise<Uint8Array>} Argon2id
 */

/**
 * An open vault. It can be posted to a worker and kept in IndexedDB: no key in it can be read by a script.
 *
 * @typedef {object} Vault
 * @property {CryptoKey} key the vault key, for HKDF alone and not extractable
 * @property {Bytes} keyId 16 bytes
 * @property {CryptoKey} wrappingKey
 * @property {CryptoKey} namesKey
 * @property {TranscriptKeys} transcripts
 *
 * @typedef {object} TranscriptKeys
 * @property {CryptoKey} privateKey X25519, not extractable
 * @property {Bytes} publicKey 32 bytes
 * @property {boolean} foreign whether the account names another public key than this: then somebody changed
 *   the account's row, and transcripts are neither sealed nor opened
 */

const { subtle } = globalThis.crypto;

const PBKDF2_ITERATIONS = 100_000;
// What stands before the 32 bytes of an X25519 private key in PKCS #8 (RFC 8410, 7).
const X25519_PKCS8 = Uint8Array.from([48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 110, 4, 34, 4, 32]);

/**
 * Whether a client should compute with these parameters (section 2.1): neither so costly that they exhaust
 * the device, nor so cheap that they make guessing the password easy.
 *
 * @param {KeyDerivation} kdf
 * @param {Bytes} salt
 */
function reasonable(kdf, salt) {
  /** @type {Record<number, number>} */
  const owasp = { 1: 47104, 2: 19456, 3: 12288, 4: 9216 };
  const leastMemory = owasp[kdf.time_cost] ?? 7168;
  /** @type {(value: number, least: number, most: number) => boolean} */
  const within = (value, least, most) => Number.isInteger(value) && value >= least && value <= most;
  return (
    kdf.algorithm === "argon2id" &&
    kdf.version === 19 &&
    within(kdf.time_cost, 1, 20) &&
    within(kdf.memory_cost_kib, leastMemory, 1024 * 1024) &&
    within(kdf.parallelism, 1, 16) &&
    salt.length === KEY_SIZE
  );
}

/**
 * Read a field of the account; throws an AccountError for what is none.
 *
 * @param {(text: string) => Bytes} decode
 * @param {string} text
 */
function decoded(decode, text) {
  try {
    return decode(text);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new AccountError("damaged", "The account's data cannot be read");
  }
}

/**
 * The key-encryption key, 32 bytes: Argon2id over the password in UTF-8 (section 2.1).
 *
 * @param {string} password
 * @param {KeyDerivation} kdf
 * @param {Argon2id} argon2id
 * @returns {Promise<Bytes>}
 */
async function deriveKek(password, kdf, argon2id) {
  if (password === "") throw new AccountError("password", "The password is missing");
  const salt = decoded(fromHex, kdf.salt);
  if (!reasonable(kdf, salt)) {
    const said = "The account's Argon2id parameters are not ones this client accepts";
    throw new AccountError("parameters", said);
  }
  const derived = await argon2id({
    password: utf8(password),
    salt,
    iterations: kdf.time_cost,
    memorySize: kdf.memory_cost_kib,
    parallelism: kdf.parallelism,
    hashLength: KEY_SIZE,
  });
  return new Uint8Array(derived);
}

/**
 * Unwrap the vault key with the password (sections 2.2 and 2.3).
 *
 * Rejects with an AccountError: `password` where it does not open the vault; the other reasons tell of data
 * that is missing, damaged, of a later version or unreasonable. That the account names another public key for
 * transcripts does not fail here: see `foreign`.
 *
 * @param {Pick<Account, "user_id" | "vault">} account
 * @param {string} password exactly as it was typed
 * @param {Argon2id} argon2id
 * @returns {Promise<Vault>}
 */
export async function openVault(account, password, argon2id) {
  if (!account.vault) {
    throw new AccountError("no_vault", "The account has no vault; log in once to get one");
  }
  const { version, key_id: keyId, kdf, wrapped_key: wrappedKey } = account.vault;
  if (version !== 1) {
    const said = "This client does not know this version of vault; please update it";
    throw new AccountError("version", said);
  }
  const wrapped = decoded(fromBase64, wrappedKey);
  const kek = await deriveKek(password, kdf, argon2id);
  const associated = ascii("panzoto/v2/vault" + account.user_id);
  const [nonce, sealed] = [wrapped.subarray(0, NONCE_SIZE), wrapped.subarray(NONCE_SIZE)];
  const vaultKey = await open(await aesKey(kek), nonce, sealed, associated);
  kek.fill(0);
  if (vaultKey === null) {
    throw new AccountError("password", "The password does not open this account's vault");
  }
  const key = await subtle.importKey("raw", vaultKey, "HKDF", false, ["deriveBits", "deriveKey"]);
  vaultKey.fill(0);
  const vault = await vaultFromKey(key, account.vault.transcripts_public_key);
  if (!equal(vault.keyId, decoded(fromHex, keyId))) {
    throw new AccountError("damaged", "The vault key does not have the name the account gives it");
  }
  return vault;
}

/**
 * The vault of a key that was kept: derives all of section 2.3 from it.
 *
 * @param {CryptoKey} key what `Vault.key` was
 * @param {string | null} [toldPublicKey] `transcripts_public_key` of the account's vault, where it is known
 * @returns {Promise<Vault>}
 */
export async function vaultFromKey(key, toldPublicKey = null) {
  const keyId = (await derivedBytes(key, "panzoto/v2/key-id")).subarray(0, 16);
  const wrappingKey = await derivedAesKey(key, "panzoto/v2/wrap");
  const namesKey = await derivedAesKey(key, "panzoto/v2/names");
  const pair = await x25519(await derivedBytes(key, "panzoto/v2/transcripts"));
  const foreign = toldPublicKey !== null && toldPublicKey !== toBase64(pair.publicKey);
  return { key, keyId, wrappingKey, namesKey, transcripts: { ...pair, foreign } };
}

/** @param {string} info */
const hkdfOf = (info) => ({ name: "HKDF", hash: "SHA-256", salt: new Uint8Array(32), info: ascii(info) });

/**
 * @param {CryptoKey} key
 * @param {string} info
 * @returns {Promise<Bytes>} 32 of them
 */
async function derivedBytes(key, info) {
  return new Uint8Array(await subtle.deriveBits(hkdfOf(info), key, 8 * KEY_SIZE));
}

/**
 * @param {CryptoKey} key
 * @param {string} info
 */
function derivedAesKey(key, info) {
  const aes = { name: "AES-GCM", length: 8 * KEY_SIZE };
  return subtle.deriveKey(hkdfOf(info), key, aes, false, ["encrypt", "decrypt"]);
}

/**
 * The key pair of 32 private bytes, which are wiped: a key that scripts cannot read, and 32 bytes.
 *
 * @param {Bytes} privateBytes
 */
async function x25519(privateBytes) {
  const pkcs8 = concat(X25519_PKCS8, privateBytes);
  // WebCrypto tells the public half of a key only with the whole of it.
  const readable = await subtle.importKey("pkcs8", pkcs8, { name: "X25519" }, true, ["deriveBits"]);
  const { x = "" } = await subtle.exportKey("jwk", readable);
  const privateKey = await subtle.importKey("pkcs8", pkcs8, { name: "X25519" }, false, ["deriveBits"]);
  pkcs8.fill(0);
  privateBytes.fill(0);
  return { privateKey, publicKey: fromBase64(x.replaceAll("-", "+").replaceAll("_", "/")) };
}

/**
 * The key of single-shot recordings (section 2.4).
 *
 * @param {Pick<Account, "key_salt">} account
 * @param {string} password
 * @param {"raw" | "hex"} [saltReading]
 */
export async function directKey(account, password, saltReading = "raw") {
  const digits = account.key_salt;
  if (digits === undefined) throw new AccountError("damaged", "The account's data has no key_salt");
  const salt = saltReading === "raw" ? decoded(fromHex, digits) : ascii(digits);
  const material = await subtle.importKey("raw", utf8(password), "PBKDF2", false, ["deriveKey"]);
  const pbkdf2 = { name: "PBKDF2", hash: "SHA-256", salt, iterations: PBKDF2_ITERATIONS };
  const aes = { name: "AES-GCM", length: 8 * KEY_SIZE };
  return subtle.deriveKey(pbkdf2, material, aes, false, ["encrypt", "decrypt"]);
}
