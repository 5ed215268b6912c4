// Version 2 recordings, written and read segment by segment: docs/clients.md, section 3.

import { ascii, concat, random, utf8 } from "./bytes.js";
import { RecordingError } from "./errors.js";
import { HEADER_SIZE, makeHeader, openHeader, proveFileKey } from "./header.js";
import { aesKey, hkdf, KEY_SIZE, NONCE_SIZE, open, seal, TAG_SIZE } from "./primitives.js";

/** @import {Bytes} from "./bytes.js" */
/** @import {HeaderKeys} from "./header.js" */

/**
 * Where bytes come from: a file, or an object in the bucket. `read` resolves to the bytes from `start` to
 * `stop` (not included); it is never asked for more than 1 MiB, nor beyond `size`.
 *
 * @typedef {object} Source
 * @property {number} size in bytes
 * @property {(start: number, stop: number, options?: { signal?: AbortSignal }) => Promise<Uint8Array>} read
 */

/**
 * All that is random in a recording. The same secrets and the same sound make the same object, byte for byte;
 * never use them with other sound, nor for another `s3_key`: that would give the sound away.
 *
 * @typedef {object} RecordingSecrets
 * @property {Bytes} fileKey 32 bytes
 * @property {Bytes} nonce 12 bytes
 * @property {Bytes} salt 32 bytes
 * @property {Bytes} prefix 7 bytes
 */

const SEGMENT_SIZE = 65536;
const SALT_SIZE = 32;
const PREFIX_SIZE = 7;
const STREAM_HEADER_SIZE = 1 + SALT_SIZE + PREFIX_SIZE;
const BEGINNING_SIZE = HEADER_SIZE + STREAM_HEADER_SIZE;
const SEGMENT_PLAIN = SEGMENT_SIZE - TAG_SIZE;
const FIRST_SEGMENT_PLAIN = SEGMENT_PLAIN - STREAM_HEADER_SIZE;
// What one read takes at most: a source may be a request, which is dear, or all of it in memory, which is
// too.
const MOST_SEGMENTS = 16;

// ---- Sizes and places: section 3.2 ------------------------------------------------------------------------

/**
 * Bytes of the object for a recording of `plainSize` bytes.
 *
 * @param {number} plainSize
 */
export function encryptedSize(plainSize) {
  return BEGINNING_SIZE + plainSize + segmentsOf(plainSize) * TAG_SIZE;
}

/** @param {number} plainSize */
const segmentsOf = (plainSize) => Math.max(1, Math.ceil((plainSize + STREAM_HEADER_SIZE) / SEGMENT_PLAIN));

// The stream header takes the place of 40 plain bytes in segment 0, so shifting every plain offset by 40
// makes all segments equally long.
/** @param {number} offset the segment of this plain byte */
const segmentAt = (offset) => Math.floor((offset + STREAM_HEADER_SIZE) / SEGMENT_PLAIN);

/** @param {number} segment the first plain byte of it */
const plainStart = (segment) => Math.max(0, segment * SEGMENT_PLAIN - STREAM_HEADER_SIZE);

/** @param {number} segment where it starts in the object */
const sealedStart = (segment) => (segment === 0 ? BEGINNING_SIZE : HEADER_SIZE + segment * SEGMENT_SIZE);

/**
 * The AES key of a recording's segments.
 *
 * @param {Bytes} fileKey
 * @param {Bytes} header
 * @param {string} s3Key
 * @param {Bytes} salt
 */
async function segmentKey(fileKey, header, s3Key, salt) {
  const keyValue = await hkdf(fileKey, ascii("panzoto/v2/stream"));
  return aesKey(await hkdf(keyValue, concat(header, utf8(s3Key)), salt));
}

/**
 * prefix (7) ‖ segment number as uint32 ‖ 1 for the last segment, else 0.
 *
 * @param {Bytes} prefix
 * @param {number} number
 * @param {boolean} last
 */
function segmentNonce(prefix, number, last) {
  const nonce = new Uint8Array(NONCE_SIZE);
  nonce.set(prefix);
  new DataView(nonce.buffer).setUint32(PREFIX_SIZE, number);
  nonce[NONCE_SIZE - 1] = last ? 1 : 0;
  return nonce;
}

// ---- Sources ----------------------------------------------------------------------------------------------

/**
 * A source over a Blob or File, which browsers need not hold in memory.
 *
 * @param {Blob} blob
 * @returns {Source}
 */
export function blobSource(blob) {
  return {
    size: blob.size,
    read: async (start, stop) => new Uint8Array(await blob.slice(start, stop).arrayBuffer()),
  };
}

/**
 * @param {Source} source
 * @param {number} start
 * @param {number} stop
 * @param {AbortSignal} [signal]
 * @returns {Promise<Bytes>}
 */
async function readExactly(source, start, stop, signal) {
  const bytes = await source.read(start, stop, signal ? { signal } : {});
  if (bytes.length !== stop - start) throw cutOff();
  return /** @type {Bytes} */ (bytes);
}

// ---- Writing: section 3.3 ---------------------------------------------------------------------------------

/**
 * Fresh secrets, for one recording and one `s3_key`.
 *
 * @returns {RecordingSecrets}
 */
export function newSecrets() {
  return {
    fileKey: random(KEY_SIZE),
    nonce: random(NONCE_SIZE),
    salt: random(SALT_SIZE),
    prefix: random(PREFIX_SIZE),
  };
}

/** One recording's keys, ready to seal. */
class Sealer {
  /**
   * @param {Bytes} beginning
   * @param {CryptoKey} key
   * @param {Bytes} prefix
   */
  constructor(beginning, key, prefix) {
    /** Header and stream header, 168 bytes. */
    this.beginning = beginning;
    this.key = key;
    this.prefix = prefix;
  }

  /**
   * @param {HeaderKeys} vault
   * @param {string} s3Key
   * @param {RecordingSecrets} secrets
   */
  static async make(vault, s3Key, { fileKey, nonce, salt, prefix }) {
    const header = await makeHeader(vault, fileKey, nonce);
    const key = await segmentKey(fileKey, header, s3Key, salt);
    return new Sealer(concat(header, Uint8Array.of(STREAM_HEADER_SIZE), salt, prefix), key, prefix);
  }

  /**
   * @param {number} number
   * @param {boolean} last
   * @param {Bytes} plain
   */
  seal(number, last, plain) {
    return seal(this.key, segmentNonce(this.prefix, number, last), plain);
  }
}

/**
 * Write a version 2 recording, piece by piece, holding one segment at most.
 *
 * With fresh secrets a repeated upload shares nothing with the first; an upload that must send the very same
 * bytes again keeps the secrets of the first (section 5.1). Rejects with a RecordingError (`length`) when the
 * source ends early.
 *
 * @param {HeaderKeys} vault
 * @param {string} s3Key
 * @param {Source} source
 * @param {RecordingSecrets} [secrets]
 * @returns {AsyncGenerator<Bytes, void, void>} the first piece has 168 bytes, each other is a segment
 */
export async function* encryptRecording(vault, s3Key, source, secrets = newSecrets()) {
  const sealer = await Sealer.make(vault, s3Key, secrets);
  yield sealer.beginning;
  const count = segmentsOf(source.size);
  for (let number = 0; number < count; number++) yield sealSegment(sealer, source, number, count);
}

/**
 * The encrypted object as a source of its own: any part of it, sealed when it is asked for. So the parts of a
 * long upload can be made one by one, in any order, and again after a reload, without those before them.
 *
 * @param {HeaderKeys} vault
 * @param {string} s3Key
 * @param {Source} source
 * @param {RecordingSecrets} secrets kept until the upload has arrived
 * @returns {Promise<Source>}
 */
export async function encryptingSource(vault, s3Key, source, secrets) {
  const sealer = await Sealer.make(vault, s3Key, secrets);
  const size = encryptedSize(source.size);
  const count = segmentsOf(source.size);
  return {
    size,
    async read(start, stop) {
      const pieces = start < BEGINNING_SIZE ? [sealer.beginning.subarray(start, stop)] : [];
      let number = Math.max(0, Math.floor((start - HEADER_SIZE) / SEGMENT_SIZE));
      for (; number < count && sealedStart(number) < stop; number++) {
        const segment = await sealSegment(sealer, source, number, count);
        const skipped = Math.max(0, start - sealedStart(number));
        pieces.push(segment.subarray(skipped, Math.max(skipped, stop - sealedStart(number))));
      }
      return concat(...pieces);
    },
  };
}

/**
 * @param {Sealer} sealer
 * @param {Source} source
 * @param {number} number
 * @param {number} count
 */
async function sealSegment(sealer, source, number, count) {
  const stop = Math.min(source.size, plainStart(number + 1));
  return sealer.seal(number, number === count - 1, await readExactly(source, plainStart(number), stop));
}

/**
 * Writes a recording whose end is not known yet, holding two segments at most.
 *
 * Whether a segment is the last stands in its nonce, so a full one waits until more bytes or the end have
 * come.
 */
export class SegmentedWriter {
  /** @type {Sealer} */
  #sealer;
  #number = 0;
  #waiting = new Uint8Array(SEGMENT_PLAIN);
  #filled = 0;
  #closed = false;
  /** @type {Promise<unknown>} */
  #before = Promise.resolve();

  /** @param {Sealer} sealer */
  constructor(sealer) {
    this.#sealer = sealer;
  }

  /**
   * @param {HeaderKeys} vault
   * @param {string} s3Key
   * @param {RecordingSecrets} [secrets]
   */
  static async open(vault, s3Key, secrets = newSecrets()) {
    return new SegmentedWriter(await Sealer.make(vault, s3Key, secrets));
  }

  /** The 168 bytes with which the object begins. */
  get beginning() {
    return this.#sealer.beginning.slice();
  }

  /**
   * Take plain bytes; resolves to the segments that are complete by them, often none. Calls need not wait for
   * each other, their bytes are taken in the order of the calls. Throws a TypeError once it is closed.
   *
   * @param {Uint8Array} plain not to be changed until this resolves
   * @returns {Promise<Bytes[]>}
   */
  write(plain) {
    if (this.#closed) throw new TypeError("The recording is closed");
    return this.#inTurn(() => this.#take(plain));
  }

  /**
   * The end: resolves to the last segment.
   *
   * @returns {Promise<Bytes>}
   */
  close() {
    if (this.#closed) throw new TypeError("The recording is closed");
    this.#closed = true;
    return this.#inTurn(() => this.#seal(true));
  }

  /**
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  #inTurn(work) {
    // What failed before fails all that follows: a hole in the stream must not be closed over.
    const done = this.#before.then(work);
    this.#before = done;
    done.catch(() => {});
    return done;
  }

  /** @param {Uint8Array} plain */
  async #take(plain) {
    const sealed = [];
    for (let offset = 0; offset < plain.length; ) {
      const room = (this.#number === 0 ? FIRST_SEGMENT_PLAIN : SEGMENT_PLAIN) - this.#filled;
      if (room === 0) {
        sealed.push(await this.#seal(false));
        continue;
      }
      const taken = plain.subarray(offset, offset + room);
      this.#waiting.set(taken, this.#filled);
      this.#filled += taken.length;
      offset += taken.length;
    }
    return sealed;
  }

  /** @param {boolean} last */
  async #seal(last) {
    const sealed = await this.#sealer.seal(this.#number, last, this.#waiting.subarray(0, this.#filled));
    this.#number += 1;
    this.#filled = 0;
    return sealed;
  }
}

// ---- Reading: sections 3.4 and 3.5 ------------------------------------------------------------------------

/**
 * The own key of a version 2 recording, 32 bytes, which a call takes in place of the password (section 6.2).
 *
 * @param {HeaderKeys} vault
 * @param {Source} source of the object, or of its first 128 bytes
 */
export async function fileKeyOf(vault, source) {
  return openHeader(vault, await readExactly(source, 0, HEADER_SIZE));
}

/**
 * Random access to a version 2 recording.
 *
 * Opening authenticates the header and the last segment; after that `length`, in bytes of plain audio, is
 * proven. Opening costs two reads of the source, of which the reader keeps the first and the last segment as
 * they are sealed: players come back to both. So one reader is kept for all ranges of one recording. Several
 * readings may go on at the same time.
 */
export class RecordingReader {
  #source;
  #key;
  #prefix;
  #last;
  /** @type {Map<number, Bytes>} */
  #ends = new Map();
  /** Bytes of plain audio. */
  length;

  /**
   * @param {Source} source
   * @param {CryptoKey} key
   * @param {Bytes} prefix
   * @private
   */
  constructor(source, key, prefix) {
    this.#source = source;
    this.#key = key;
    this.#prefix = prefix;
    const streamSize = source.size - HEADER_SIZE;
    this.#last = Math.floor((streamSize - 1) / SEGMENT_SIZE);
    if (this.#last > 0 && streamSize - this.#last * SEGMENT_SIZE <= TAG_SIZE) throw cutOff();
    this.length = source.size - BEGINNING_SIZE - TAG_SIZE * (this.#last + 1);
  }

  /**
   * Open with the vault; rejects with a RecordingError, whose reason is the first check of section 3.4 that
   * failed, or with what the source rejects with.
   *
   * @param {HeaderKeys} vault
   * @param {string} s3Key
   * @param {Source} source
   * @param {{ signal?: AbortSignal }} [options]
   */
  static open(vault, s3Key, source, { signal } = {}) {
    return RecordingReader.#begin(s3Key, source, signal, (header) => openHeader(vault, header));
  }

  /**
   * Open with the recording's own key, for those who are not to have the vault.
   *
   * @param {Bytes} fileKey
   * @param {string} s3Key
   * @param {Source} source
   * @param {{ signal?: AbortSignal }} [options]
   */
  static openWithFileKey(fileKey, s3Key, source, { signal } = {}) {
    return RecordingReader.#begin(s3Key, source, signal, async (header) => {
      await proveFileKey(fileKey, header);
      return fileKey;
    });
  }

  /**
   * @param {string} s3Key
   * @param {Source} source
   * @param {AbortSignal | undefined} signal
   * @param {(header: Bytes) => Promise<Bytes>} keyOf
   */
  static async #begin(s3Key, source, signal, keyOf) {
    const beginning = await readExactly(source, 0, Math.min(sealedStart(1), source.size), signal);
    const header = beginning.subarray(0, HEADER_SIZE);
    const fileKey = await keyOf(header);
    if (source.size < BEGINNING_SIZE + TAG_SIZE) throw cutOff();
    const streamHeader = beginning.subarray(HEADER_SIZE, BEGINNING_SIZE);
    if (streamHeader[0] !== STREAM_HEADER_SIZE) {
      throw new RecordingError("stream_header", "The recording's segment stream does not begin as one");
    }
    const salt = streamHeader.subarray(1, 1 + SALT_SIZE);
    const key = await segmentKey(fileKey, header, s3Key, salt);
    const reader = new RecordingReader(source, key, streamHeader.slice(1 + SALT_SIZE));
    await reader.#keepEnds(beginning.subarray(BEGINNING_SIZE), signal);
    return reader;
  }

  /**
   * Prove the length by the last segment, before anything else is given out.
   *
   * @param {Bytes} first segment 0, sealed
   * @param {AbortSignal | undefined} signal
   */
  async #keepEnds(first, signal) {
    const last = this.#last;
    this.#ends.set(0, first);
    if (last > 0) {
      this.#ends.set(last, await readExactly(this.#source, sealedStart(last), this.#source.size, signal));
    }
    await this.#opened(last, this.#ends.get(last) ?? first);
  }

  /**
   * Plain bytes `start` to `stop` (not included, and no further than `length`), in pieces of authenticated
   * segments only. The source is asked for one segment first, so that the beginning comes soon, and then for
   * up to 1 MiB at a time. Whoever takes a piece owns it.
   *
   * @param {number} [start]
   * @param {number} [stop]
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {AsyncGenerator<Bytes, void, void>}
   */
  async *read(start = 0, stop = this.length, { signal } = {}) {
    const [begin, end] = [Math.max(0, start), Math.min(stop, this.length)];
    if (begin >= end) return;
    let first = plainStart(segmentAt(begin));
    for await (const plain of this.#segments(segmentAt(begin), segmentAt(end - 1), signal)) {
      yield plain.subarray(Math.max(0, begin - first), end - first);
      first += plain.length;
    }
  }

  /**
   * Read, authenticate and give out these segments, the last included.
   *
   * @param {number} number
   * @param {number} final
   * @param {AbortSignal | undefined} signal
   * @returns {AsyncGenerator<Bytes, void, void>}
   */
  async *#segments(number, final, signal) {
    for (let most = 1; number <= final; ) {
      const kept = this.#ends.get(number);
      const next = kept ? number + 1 : Math.min(number + most, final + 1, this.#last);
      const [start, stop] = [sealedStart(number), sealedStart(next)];
      const sealed = kept ?? (await readExactly(this.#source, start, stop, signal));
      if (!kept) most = Math.min(2 * most, MOST_SEGMENTS);
      for (; number < next; number++) {
        signal?.throwIfAborted();
        const [from, to] = [sealedStart(number) - start, sealedStart(number + 1) - start];
        yield await this.#opened(number, sealed.subarray(from, to));
      }
    }
  }

  /**
   * @param {number} number
   * @param {Bytes} sealed
   */
  async #opened(number, sealed) {
    const plain = await open(this.#key, segmentNonce(this.#prefix, number, number === this.#last), sealed);
    if (plain === null) throw new RecordingError("segment", `Segment ${number} of the recording is damaged`);
    return plain;
  }
}

const cutOff = () => new RecordingError("length", "The recording is cut off");

/**
 * Collect the pieces of an async iterable in a Blob.
 *
 * @param {AsyncIterable<Bytes> | Iterable<Bytes>} pieces
 * @param {string} [type]
 */
export async function collect(pieces, type = "application/octet-stream") {
  const parts = [];
  for await (const piece of pieces) parts.push(piece);
  return new Blob(parts, { type });
}
