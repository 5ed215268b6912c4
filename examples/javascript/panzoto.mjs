// A Panzoto client for browsers and Node 20.12 or newer: WebCrypto, and hash-wasm for Argon2id.
// Every function names the section of docs/clients.md that it implements.
//
// Recordings are read from a "source": an object { size, read(start, stop) } whose read resolves to
// a Uint8Array. blobSource makes one from a Blob or File; cli.mjs makes one from a file in Node.

import { argon2id } from "hash-wasm";

const { subtle } = globalThis.crypto;
if (!subtle) throw new Error("WebCrypto needs https or http://127.0.0.1");

const KEY_SIZE = 32;
const NONCE_SIZE = 12;
const TAG_SIZE = 16;

// Version 2 recordings, section 3.
const MAGIC = ascii("PNZ2");
const SUITE = 0x01;
const HEADER_SIZE = 128;
const SEGMENT_SIZE = 65536;
const STREAM_SALT_SIZE = 32;
const NONCE_PREFIX_SIZE = 7;
const STREAM_HEADER_SIZE = 1 + STREAM_SALT_SIZE + NONCE_PREFIX_SIZE;
const FIRST_SEGMENT_PLAIN = SEGMENT_SIZE - STREAM_HEADER_SIZE - TAG_SIZE;
const SEGMENT_PLAIN = SEGMENT_SIZE - TAG_SIZE;

// Single-shot recordings, section 4.
const PBKDF2_ITERATIONS = 100_000;
export const SINGLE_SHOT_FORMATS = {
  "single-iv12-raw-salt": { ivSize: 12, saltReading: "raw" },
  "single-iv16-raw-salt": { ivSize: 16, saltReading: "raw" },
  "single-iv12-hex-salt": { ivSize: 12, saltReading: "hex" },
  "single-iv16-hex-salt": { ivSize: 16, saltReading: "hex" },
};

// Transcripts, section 6.3: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM as RFC 9180 numbers them.
const HPKE_VERSION = ascii("HPKE-v1");
const HPKE_KEM = concat(ascii("KEM"), Uint8Array.of(0x00, 0x20));
const HPKE_SUITE = concat(ascii("HPKE"), Uint8Array.of(0x00, 0x20, 0x00, 0x01, 0x00, 0x02));
// What stands before the 32 bytes of an X25519 private key in PKCS #8 (RFC 8410, 7).
const X25519_PKCS8 = Uint8Array.from([48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 110, 4, 34, 4, 32]);
const LARGEST_DOCUMENT = 16 * 1024 * 1024;
const DEEPEST_DOCUMENT = 100;

/** A recording that does not open. `reason` is the stable word of section 3.4 or 4. */
export class RecordingError extends Error {
  constructor(reason, message) {
    super(message);
    this.name = "RecordingError";
    this.reason = reason;
    this.code = ["suite", "flags", "reserved"].includes(reason) ? "unsupported_format" : "decryption_failed";
  }
}

/** A transcript, a title or a note that does not open. `reason` is a word of section 6.3 or 5.8. */
export class TranscriptError extends Error {
  constructor(reason, message) {
    super(message);
    this.name = "TranscriptError";
    this.reason = reason;
    this.code = "decryption_failed";
  }
}

/** The vault cannot be opened: a wrong password, or account data that is damaged or unreasonable. */
export class AccountError extends Error {
  constructor(message) {
    super(message);
    this.name = "AccountError";
  }
}

/** An answer other than success; `code` is the service's stable word, or `unreachable`. */
export class ServiceError extends Error {
  constructor(status, code, message, retryAfter = null) {
    super(message);
    this.name = "ServiceError";
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

// ---- Bytes ----------------------------------------------------------------------------------------

function ascii(text) {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function utf8(text) {
  return new TextEncoder().encode(text);
}

function random(size) {
  return globalThis.crypto.getRandomValues(new Uint8Array(size));
}

function concat(...pieces) {
  const whole = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    whole.set(piece, offset);
    offset += piece.length;
  }
  return whole;
}

function fromHex(digits) {
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new AccountError("The account's data cannot be read");
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function toBase64(bytes) {
  // A piece at a time: no function takes millions of arguments.
  let characters = "";
  for (let i = 0; i < bytes.length; i += 8192) {
    characters += String.fromCharCode(...bytes.subarray(i, i + 8192));
  }
  return btoa(characters);
}

/** Compare without stopping at the first difference, whose position would be a hint. */
function equal(one, other) {
  let difference = one.length ^ other.length;
  for (let i = 0; i < one.length; i++) difference |= one[i] ^ other[i];
  return difference === 0;
}

// ---- Keys: section 2 ------------------------------------------------------------------------------

async function hmac(key, message) {
  const hmacKey = await subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await subtle.sign("HMAC", hmacKey, message));
}

/**
 * HKDF-SHA256, 32 bytes, with an empty salt unless said otherwise (section 2).
 *
 * WebCrypto has an HKDF of its own, but Node's refuses an info above 1024 bytes, and that of a
 * segment stream has up to 1152. One block of output needs only these two lines of RFC 5869.
 */
async function hkdf(key, info, salt = new Uint8Array(32)) {
  const pseudorandomKey = await hmac(salt, key);
  return hmac(pseudorandomKey, concat(info, Uint8Array.of(1)));
}

function aesKey(bytes) {
  return subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]);
}

async function seal(key, nonce, plain, additionalData = new Uint8Array()) {
  return new Uint8Array(await subtle.encrypt({ name: "AES-GCM", iv: nonce, additionalData }, key, plain));
}

/** Resolves to the plain bytes, or to null when they cannot be authenticated. */
async function open(key, nonce, sealed, additionalData = new Uint8Array()) {
  try {
    return new Uint8Array(await subtle.decrypt({ name: "AES-GCM", iv: nonce, additionalData }, key, sealed));
  } catch (error) {
    if (error.name === "OperationError") return null;
    throw error;
  }
}

/**
 * Whether a client should compute with these parameters (section 2.1): neither so costly that they
 * exhaust the device, nor so cheap that they make guessing the password easy.
 */
function reasonable(kdf, salt) {
  const leastMemory = { 1: 47104, 2: 19456, 3: 12288, 4: 9216 }[kdf.time_cost] ?? 7168;
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

/** The key-encryption key, 32 bytes: Argon2id over the password in UTF-8 (section 2.1). */
export async function deriveKek(password, kdf) {
  if (password === "") throw new AccountError("The password is missing");
  const salt = fromHex(kdf.salt);
  if (!reasonable(kdf, salt)) {
    throw new AccountError("The account's Argon2id parameters are not ones this client accepts");
  }
  return argon2id({
    password: utf8(password),
    salt,
    iterations: kdf.time_cost,
    memorySize: kdf.memory_cost_kib,
    parallelism: kdf.parallelism,
    hashLength: KEY_SIZE,
    outputType: "binary",
  });
}

/**
 * Unwrap the vault key with the password (sections 2.2 and 2.3).
 *
 * `account` is what register or login returned. Resolves to { keyId, wrappingKey, namesKey, transcripts },
 * which is all that recordings, titles and transcripts need; WebCrypto keeps these keys where scripts cannot
 * read them.
 */
export async function openVault(account, password) {
  if (!account.vault) throw new AccountError("The account has no vault; log in once to get one");
  const { version, key_id: keyId, kdf, wrapped_key: wrappedKey } = account.vault;
  if (version !== 1) {
    throw new AccountError("This client does not know this version of vault; please update it");
  }
  const wrapped = fromBase64(wrappedKey);
  const kek = await aesKey(await deriveKek(password, kdf));
  const associated = ascii("panzoto/v2/vault" + account.user_id);
  const vaultKey = await open(kek, wrapped.subarray(0, NONCE_SIZE), wrapped.subarray(NONCE_SIZE), associated);
  if (vaultKey === null) throw new AccountError("The password does not open this account's vault");
  const derivedId = (await hkdf(vaultKey, ascii("panzoto/v2/key-id"))).subarray(0, 16);
  if (!equal(derivedId, fromHex(keyId))) {
    throw new AccountError("The vault key does not have the name the account gives it");
  }
  const wrappingKey = await aesKey(await hkdf(vaultKey, ascii("panzoto/v2/wrap")));
  const namesKey = await aesKey(await hkdf(vaultKey, ascii("panzoto/v2/names")));
  const transcripts = await x25519(await hkdf(vaultKey, ascii("panzoto/v2/transcripts")));
  vaultKey.fill(0);
  const told = account.vault.transcripts_public_key ?? null;
  if (told !== null && told !== toBase64(transcripts.publicKey)) {
    throw new AccountError("The account seals transcripts to a key that is not its vault's");
  }
  return { keyId: derivedId, wrappingKey, namesKey, transcripts };
}

/** { privateKey, publicKey } of 32 private bytes: a key that scripts cannot read, and 32 bytes (section 2.3). */
async function x25519(privateBytes) {
  const pkcs8 = concat(X25519_PKCS8, privateBytes);
  // WebCrypto tells the public half of a key only with the whole of it.
  const readable = await subtle.importKey("pkcs8", pkcs8, { name: "X25519" }, true, ["deriveBits"]);
  const { x } = await subtle.exportKey("jwk", readable);
  const privateKey = await subtle.importKey("pkcs8", pkcs8, { name: "X25519" }, false, ["deriveBits"]);
  pkcs8.fill(0);
  privateBytes.fill(0);
  return { privateKey, publicKey: fromBase64(x.replaceAll("-", "+").replaceAll("_", "/")) };
}

/** The key of single-shot recordings (section 2.4); `saltReading` is "raw" or "hex". */
export async function directKey(account, password, saltReading = "raw") {
  const salt = saltReading === "raw" ? fromHex(account.key_salt) : ascii(account.key_salt);
  const material = await subtle.importKey("raw", utf8(password), "PBKDF2", false, ["deriveKey"]);
  const pbkdf2 = { name: "PBKDF2", hash: "SHA-256", salt, iterations: PBKDF2_ITERATIONS };
  return subtle.deriveKey(pbkdf2, material, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
}

// ---- Version 2 recordings: section 3 --------------------------------------------------------------

/** A source over a Blob or File, which browsers need not hold in memory. */
export function blobSource(blob) {
  return {
    size: blob.size,
    read: async (start, stop) => new Uint8Array(await blob.slice(start, stop).arrayBuffer()),
  };
}

async function readExactly(source, start, stop) {
  const bytes = await source.read(start, stop);
  if (bytes.length !== stop - start) throw new RecordingError("length", "The recording is cut off");
  return bytes;
}

/** Bytes of the object for a recording of `plainSize` bytes (section 3.2). */
export function encryptedSize(plainSize) {
  const segments = Math.max(1, Math.ceil((plainSize + STREAM_HEADER_SIZE) / SEGMENT_PLAIN));
  return HEADER_SIZE + STREAM_HEADER_SIZE + plainSize + segments * TAG_SIZE;
}

async function commitmentOf(fileKey, start) {
  return hkdf(fileKey, concat(ascii("panzoto/v2/commit"), start));
}

/** The 128 bytes before the segment stream (section 3.1). */
async function makeHeader(vault, fileKey) {
  const start = concat(MAGIC, Uint8Array.of(SUITE, 0), vault.keyId);
  const nonce = random(NONCE_SIZE);
  const wrapped = concat(start, nonce, await seal(vault.wrappingKey, nonce, fileKey, start));
  return concat(wrapped, await commitmentOf(fileKey, wrapped), new Uint8Array(14));
}

/** Check the header in the order of section 3.4 and resolve to the file key. */
async function openHeader(vault, header) {
  if (!equal(header.subarray(0, 4), MAGIC) || header[4] !== SUITE) {
    throw new RecordingError("suite", "The recording is of a kind this client does not know");
  }
  if (header[5] !== 0) {
    throw new RecordingError("flags", "The recording asks for a feature this client does not know");
  }
  if (header.subarray(114).some((byte) => byte !== 0)) {
    throw new RecordingError("reserved", "The recording uses header bytes this client does not know");
  }
  if (!equal(header.subarray(6, 22), vault.keyId)) {
    throw new RecordingError("key_id", "The recording belongs to another vault");
  }
  const fileKey = await open(
    vault.wrappingKey,
    header.subarray(22, 34),
    header.subarray(34, 82),
    header.subarray(0, 22),
  );
  if (fileKey === null) throw new RecordingError("wrapped_key", "The recording's key is damaged");
  if (!equal(await commitmentOf(fileKey, header.subarray(0, 82)), header.subarray(82, 114))) {
    throw new RecordingError("commitment", "The recording's key is not the one it was written with");
  }
  return fileKey;
}

/** The own key of a version 2 recording, 32 bytes, which a call takes in place of the password (section 6.2). */
export async function fileKeyOf(vault, source) {
  return openHeader(vault, await readExactly(source, 0, HEADER_SIZE));
}

/** The AES key of a recording's segments (section 3.2). */
async function segmentKey(fileKey, header, s3Key, salt) {
  const keyValue = await hkdf(fileKey, ascii("panzoto/v2/stream"));
  return aesKey(await hkdf(keyValue, concat(header, utf8(s3Key)), salt));
}

/** prefix (7) ‖ segment number as uint32 ‖ 1 for the last segment, else 0 (section 3.2). */
function segmentNonce(prefix, number, last) {
  const nonce = new Uint8Array(NONCE_SIZE);
  nonce.set(prefix);
  new DataView(nonce.buffer).setUint32(NONCE_PREFIX_SIZE, number);
  nonce[NONCE_SIZE - 1] = last ? 1 : 0;
  return nonce;
}

/**
 * Write a version 2 recording, piece by piece, holding one segment at most (section 3.3).
 *
 * Each call makes fresh keys, so a repeated upload shares nothing with the first.
 */
export async function* encryptRecording(vault, s3Key, source) {
  const fileKey = random(KEY_SIZE);
  const header = await makeHeader(vault, fileKey);
  const salt = random(STREAM_SALT_SIZE);
  const prefix = random(NONCE_PREFIX_SIZE);
  const key = await segmentKey(fileKey, header, s3Key, salt);
  fileKey.fill(0);
  yield concat(header, Uint8Array.of(STREAM_HEADER_SIZE), salt, prefix);
  let start = 0;
  for (let number = 0, last = false; !last; number++) {
    const stop = Math.min(source.size, start + (number === 0 ? FIRST_SEGMENT_PLAIN : SEGMENT_PLAIN));
    last = stop === source.size;
    yield seal(key, segmentNonce(prefix, number, last), await readExactly(source, start, stop));
    start = stop;
  }
}

/**
 * Random access to a version 2 recording (sections 3.4 and 3.5).
 *
 * Opening authenticates the header and the last segment; after that `length`, in bytes of plain
 * audio, is proven.
 */
export class RecordingReader {
  #source;
  #key;
  #prefix;
  #streamSize;
  #last;

  static async open(vault, s3Key, source) {
    const reader = new RecordingReader();
    await reader.#open(vault, s3Key, source);
    return reader;
  }

  async #open(vault, s3Key, source) {
    const header = await readExactly(source, 0, HEADER_SIZE);
    const fileKey = await openHeader(vault, header);
    this.#source = source;
    this.#streamSize = source.size - HEADER_SIZE;
    if (this.#streamSize < STREAM_HEADER_SIZE + TAG_SIZE) {
      throw new RecordingError("length", "The recording is cut off");
    }
    const streamHeader = await readExactly(source, HEADER_SIZE, HEADER_SIZE + STREAM_HEADER_SIZE);
    if (streamHeader[0] !== STREAM_HEADER_SIZE) {
      throw new RecordingError("stream_header", "The recording's segment stream does not begin as one");
    }
    this.#key = await segmentKey(fileKey, header, s3Key, streamHeader.subarray(1, 1 + STREAM_SALT_SIZE));
    fileKey.fill(0);
    this.#prefix = streamHeader.subarray(1 + STREAM_SALT_SIZE);
    this.#last = Math.floor((this.#streamSize - 1) / SEGMENT_SIZE);
    if (this.#last > 0 && this.#streamSize - this.#last * SEGMENT_SIZE <= TAG_SIZE) {
      throw new RecordingError("length", "The recording is cut off");
    }
    this.length = this.#streamSize - STREAM_HEADER_SIZE - TAG_SIZE * (this.#last + 1);
    await this.#segment(this.#last);
  }

  /** Plain bytes `start` to `stop` (not included), in pieces of authenticated segments only. */
  async *read(start = 0, stop = this.length) {
    const end = Math.min(stop, this.length);
    while (start < end) {
      // The stream header takes the place of 40 plain bytes in segment 0, so shifting every plain
      // offset by 40 makes all segments equally long.
      const number = Math.floor((start + STREAM_HEADER_SIZE) / SEGMENT_PLAIN);
      const skip = number === 0 ? start : (start + STREAM_HEADER_SIZE) % SEGMENT_PLAIN;
      const piece = (await this.#segment(number)).subarray(skip, skip + end - start);
      yield piece;
      start += piece.length;
    }
  }

  async #segment(number) {
    const start = number === 0 ? STREAM_HEADER_SIZE : number * SEGMENT_SIZE;
    const stop = Math.min((number + 1) * SEGMENT_SIZE, this.#streamSize);
    const sealed = await readExactly(this.#source, HEADER_SIZE + start, HEADER_SIZE + stop);
    const plain = await open(this.#key, segmentNonce(this.#prefix, number, number === this.#last), sealed);
    if (plain === null) throw new RecordingError("segment", `Segment ${number} of the recording is damaged`);
    return plain;
  }
}

// ---- Single-shot recordings: section 4 ------------------------------------------------------------
// WebCrypto has no streaming AES-GCM, so these hold the whole recording in memory. New recordings are
// version 2, and old long ones are better played through the service (section 6).

/** Write a single-shot recording as phones in the field do. */
export async function encryptSingle(account, password, plain, format = "single-iv12-raw-salt") {
  const { ivSize, saltReading } = SINGLE_SHOT_FORMATS[format];
  const iv = random(ivSize);
  return concat(iv, await seal(await directKey(account, password, saltReading), iv, plain));
}

/** Try the four variants; resolves to { format, plain }. */
export async function decryptSingle(account, password, object) {
  const keys = {
    raw: await directKey(account, password, "raw"),
    hex: await directKey(account, password, "hex"),
  };
  for (const [format, { ivSize, saltReading }] of Object.entries(SINGLE_SHOT_FORMATS)) {
    if (object.length < ivSize + TAG_SIZE) continue;
    const plain = await open(keys[saltReading], object.subarray(0, ivSize), object.subarray(ivSize));
    if (plain !== null) return { format, plain };
  }
  throw new RecordingError("tag", "The recording is damaged, or was made with another password");
}

// ---- Titles and notes: section 5.8 ----------------------------------------------------------------

const nameBound = (what, fileId) => ascii(`panzoto/v2/${what}\0${fileId}`);

/** Write a title or a note, as `what` says, in the form that all clients of the account read. */
export async function sealName(vault, what, fileId, text) {
  const nonce = random(NONCE_SIZE);
  return toBase64(concat(nonce, await seal(vault.namesKey, nonce, utf8(text), nameBound(what, fileId))));
}

/** Read a title or a note; rejects with a TranscriptError for what an app of before wrote. */
export async function openName(vault, what, fileId, value) {
  try {
    const sealed = fromBase64(value);
    const nonce = sealed.subarray(0, NONCE_SIZE);
    const plain = await open(vault.namesKey, nonce, sealed.subarray(NONCE_SIZE), nameBound(what, fileId));
    // fatal: what is no UTF-8 shall not become question marks; ignoreBOM: it is part of the text.
    if (plain !== null) return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(plain);
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
  }
  throw new TranscriptError("name", `The ${what} is damaged, or was written by another app`);
}

// ---- Transcripts: section 6.3 ---------------------------------------------------------------------

/** Seal a transcript's JSON, a Uint8Array, to the account; deflated where that is shorter. */
export async function sealTranscript(vault, userId, fileId, document) {
  await readDocument(concat(Uint8Array.of(0), document));
  const deflated = await squeezed(document, new CompressionStream("deflate-raw"));
  const plain =
    deflated.length < document.length
      ? concat(Uint8Array.of(1), deflated)
      : concat(Uint8Array.of(0), document);
  const own = await x25519(random(KEY_SIZE));
  const { publicKey } = vault.transcripts;
  const shared = await exchange(own.privateKey, publicKey);
  const info = transcriptInfo(userId, fileId);
  const { key, nonce } = await hpkeKeys(shared, own.publicKey, publicKey, info);
  return concat(own.publicKey, await seal(key, nonce, plain));
}

/** Resolves to the JSON of a sealed transcript, a Uint8Array; rejects with a TranscriptError. */
export async function openTranscript(vault, userId, fileId, sealed) {
  const enc = sealed.slice(0, KEY_SIZE);
  const { privateKey, publicKey } = vault.transcripts;
  let plain = null;
  if (sealed.length > KEY_SIZE + TAG_SIZE) {
    const shared = await exchange(privateKey, enc);
    if (shared !== null) {
      const { key, nonce } = await hpkeKeys(shared, enc, publicKey, transcriptInfo(userId, fileId));
      plain = await open(key, nonce, sealed.slice(KEY_SIZE));
    }
  }
  if (plain === null) {
    throw new TranscriptError("sealed", "The transcript is damaged, or is another recording's");
  }
  return readDocument(plain);
}

const transcriptInfo = (userId, fileId) => ascii(`panzoto/v2/transcript\0${userId}\0${fileId}`);

/** The JSON in what was sealed: as it is, or inflated no further than 16 MiB. */
async function readDocument(plain) {
  let document = null;
  if (plain[0] === 0) document = plain.subarray(1);
  if (plain[0] === 1) document = await squeezed(plain.slice(1), new DecompressionStream("deflate-raw"));
  if (document === null || document.length > LARGEST_DOCUMENT || !isShallowObject(document)) {
    throw new TranscriptError("document", "What was sealed is no transcript");
  }
  return document;
}

function isShallowObject(document) {
  let value;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(document));
  } catch {
    return false;
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) return false;
  const inside = (outer) => Object.values(outer).filter((one) => one !== null && typeof one === "object");
  let level = [value];
  for (let depth = 0; depth < DEEPEST_DOCUMENT && level.length > 0; depth++) level = level.flatMap(inside);
  return level.length === 0;
}

/** What comes out of a stream of (de)compression; null for what is damaged, or longer than a document. */
async function squeezed(bytes, stream) {
  const pieces = [];
  let size = 0;
  try {
    for await (const piece of chunks(new Blob([bytes]).stream().pipeThrough(stream))) {
      pieces.push(piece);
      size += piece.length;
      if (size > LARGEST_DOCUMENT) return null;
    }
  } catch {
    return null;
  }
  return concat(...pieces);
}

/** The pieces of a stream, which not every browser gives to `for await` by itself. */
async function* chunks(stream) {
  const reader = stream.getReader();
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value;
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** The secret that two X25519 keys share; null where the other's is none. */
async function exchange(privateKey, publicBytes) {
  try {
    const other = await subtle.importKey("raw", publicBytes, { name: "X25519" }, false, []);
    return new Uint8Array(await subtle.deriveBits({ name: "X25519", public: other }, privateKey, 256));
  } catch (error) {
    if (error.name === "OperationError" || error.name === "DataError") return null;
    throw error;
  }
}

/** Key and nonce of a single-shot HPKE in base mode (RFC 9180, 4.1 and 5.1). */
async function hpkeKeys(shared, enc, publicKey, info) {
  const none = new Uint8Array();
  const extractedSecret = await labeledExtract(HPKE_KEM, none, "eae_prk", shared);
  const context = concat(enc, publicKey);
  const secret = await labeledExpand(HPKE_KEM, extractedSecret, "shared_secret", context, KEY_SIZE);
  // Mode 0 has no pre-shared key, which stands here as nothing.
  const ids = await labeledExtract(HPKE_SUITE, none, "psk_id_hash", none);
  const schedule = concat(Uint8Array.of(0), ids, await labeledExtract(HPKE_SUITE, none, "info_hash", info));
  const prk = await labeledExtract(HPKE_SUITE, secret, "secret", none);
  const key = await aesKey(await labeledExpand(HPKE_SUITE, prk, "key", schedule, KEY_SIZE));
  return { key, nonce: await labeledExpand(HPKE_SUITE, prk, "base_nonce", schedule, NONCE_SIZE) };
}

function labeledExtract(suite, salt, label, key) {
  // An empty salt is as many zero bytes as the hash has; WebCrypto takes no empty key.
  const hmacKey = salt.length === 0 ? new Uint8Array(32) : salt;
  return hmac(hmacKey, concat(HPKE_VERSION, suite, ascii(label), key));
}

async function labeledExpand(suite, prk, label, info, length) {
  const labeled = concat(Uint8Array.of(0, length), HPKE_VERSION, suite, ascii(label), info);
  return (await hmac(prk, concat(labeled, Uint8Array.of(1)))).subarray(0, length);
}

// ---- Both formats ---------------------------------------------------------------------------------

/** One account and its password; opens the vault once, when something first needs it. */
export class Keys {
  #vault = null;

  constructor(account, password) {
    this.account = account;
    this.password = password;
  }

  vault() {
    this.#vault ??= openVault(this.account, this.password);
    return this.#vault;
  }
}

/** Open a recording of either format; resolves to { format, plain }, plain an async iterable of the range. */
export async function decrypt(keys, s3Key, source, start = 0, stop = Infinity) {
  const magic = await source.read(0, Math.min(source.size, 4));
  if (equal(magic, MAGIC)) {
    const reader = await RecordingReader.open(await keys.vault(), s3Key, source);
    return { format: "v2", plain: reader.read(start, stop) };
  }
  const object = await readExactly(source, 0, source.size);
  const { format, plain } = await decryptSingle(keys.account, keys.password, object);
  return { format, plain: [plain.subarray(start, Math.min(stop, plain.length))] };
}

// ---- The calls: sections 1, 5 and 6 ---------------------------------------------------------------

const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/**
 * fetch, repeated where section 1.1 allows it: lost connections, 429 and 503. `makeOptions` is asked
 * anew each time. Retry-After is obeyed where given; otherwise the waits double, with jitter.
 */
async function patientFetch(url, makeOptions, attempts = 6) {
  for (let number = 0; ; number++) {
    let failure;
    try {
      const response = await fetch(url, { redirect: "error", referrerPolicy: "no-referrer", ...makeOptions() });
      if (response.ok) return response;
      failure = await serviceError(response);
    } catch (error) {
      failure = new ServiceError(0, "unreachable", "The service cannot be reached");
      failure.cause = error;
    }
    const repeatable = failure.code === "unreachable" || [429, 502, 503, 504].includes(failure.status);
    if (!repeatable || number + 1 >= attempts) throw failure;
    const seconds = Math.min(failure.retryAfter ?? 0.5 * 2 ** number, 120);
    await wait(seconds * (1 + Math.random() / 4));
  }
}

async function serviceError(response) {
  const answer = await response.json().catch(() => ({}));
  const retryAfter = /^\d+$/.test(response.headers.get("Retry-After") ?? "")
    ? Number(response.headers.get("Retry-After"))
    : null;
  const sentence = answer.error ?? `The answer was ${response.status}`;
  return new ServiceError(response.status, answer.code ?? "unknown", sentence, retryAfter);
}

/** The calls of the service that a recorder needs. */
export class Service {
  #address;
  #token;

  constructor(address, token = null) {
    this.#address = address.replace(/\/+$/, "");
    this.#token = token;
  }

  async call(method, path, body) {
    const headers = { Accept: "application/json" };
    if (this.#token !== null) headers.Authorization = `Bearer ${this.#token}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const text = body === undefined ? undefined : JSON.stringify(body);
    const response = await patientFetch(this.#address + path, () => ({ method, headers, body: text }));
    return response.json();
  }

  /**
   * Make an account (section 1.2). A repeated register may find the account its own first attempt
   * made, so 409 asks login, which answers 401 when the account is in truth somebody else's.
   */
  async register(email, password) {
    try {
      return this.#keepToken(await this.call("POST", "/api/register", { email, password }));
    } catch (taken) {
      if (taken.status !== 409) throw taken;
      return this.login(email, password).catch((error) => {
        throw error.status === 401 ? taken : error;
      });
    }
  }

  async login(email, password) {
    return this.#keepToken(await this.call("POST", "/api/login", { email, password }));
  }

  #keepToken(account) {
    this.#token = account.token;
    return account;
  }

  /** Tell the service that an object is in the bucket; safe to repeat (section 5). */
  async recordUpload(s3Key, size, contentType) {
    const body = { s3_key: s3Key, file_size: size, content_type: contentType };
    return (await this.call("POST", "/api/audio-file", body)).audio_file;
  }

  /** Ask for a download_url; `which` is { file_id } or { s3_key } (section 6). */
  decryptAudio(password, which) {
    return this.call("POST", "/api/decrypt-audio", { password, ...which });
  }

  /** The same without the password, by the recording's own key (section 6.2). */
  decryptAudioByKey(fileKey, which) {
    return this.call("POST", "/api/decrypt-audio", { file_key: toBase64(fileKey), ...which });
  }

  /** Fetch a recording's header from the bucket and open it (sections 3.4 and 6.2). */
  async fileKey(vault, fileId) {
    const { url } = await this.call("GET", `/api/audio-file/${fileId}/download`);
    const headers = { Range: `bytes=0-${HEADER_SIZE - 1}` };
    const response = await patientFetch(url, () => ({ headers }));
    return fileKeyOf(vault, blobSource(await response.blob()));
  }

  /** Keep a sealed transcript; with a `revision` only over that one (section 6.5). */
  putTranscript(fileId, sealed, revision = null) {
    const body = { sealed: toBase64(sealed), revision };
    return this.call("PUT", `/api/audio-file/${fileId}/transcript`, body);
  }

  /** Fetch a transcript as it is sealed (section 6.5). */
  async getTranscript(fileId) {
    return fromBase64((await this.call("GET", `/api/audio-file/${fileId}/transcript`)).sealed);
  }
}

/** A fresh object key in the shape the phones use (section 5). */
export function newS3Key(userId) {
  const digits = String(new DataView(random(4).buffer).getUint32(0) % 10_000).padStart(4, "0");
  return `audio_upload/${userId}/audio_${userId.slice(0, 8)}_${Date.now()}_${digits}.3gp_encrypted`;
}

/** Put an encrypted recording into the bucket; the same bytes may be put again (section 5). */
export async function putObject(bucketUrl, s3Key, blob) {
  const path = s3Key.split("/").map(encodeURIComponent).join("/");
  const headers = { "Content-Type": "application/octet-stream" };
  const url = `${bucketUrl.replace(/\/+$/, "")}/${path}`;
  const response = await patientFetch(url, () => ({ method: "PUT", headers, body: blob }));
  await response.arrayBuffer();
}

/** Collect the pieces of an async iterable in a Blob. */
export async function collect(pieces, type = "application/octet-stream") {
  const parts = [];
  for await (const piece of pieces) parts.push(piece);
  return new Blob(parts, { type });
}
