// EBML (RFC 8794), as far as WebM needs it: reading one element after another, and writing small ones.

import { ascii, concat } from "../library/bytes.js";

/** @import {Bytes} from "../library/bytes.js" */
/** @import {Source} from "../library/recordings.js" */

/**
 * One element of a file: its id as it is written, marker included; where its content starts; and where that stops,
 * null where its size is unknown, as a browser writes it that does not yet know the end.
 *
 * @typedef {{ id: number, start: number, content: number, stop: number | null }} Element
 */

const WINDOW = 256 * 1024;
// The longest id (4 bytes) and size (8 bytes) together.
const LONGEST_HEAD = 12;

/** Reads a source from its beginning towards its end, without a request for each few bytes. */
export class ForwardReader {
  #source;
  #at = 0;
  /** @type {Uint8Array} */
  #window = new Uint8Array();

  /** @param {Source} source */
  constructor(source) {
    this.#source = source;
    this.size = source.size;
  }

  /** The bytes from `start` on, as many as there are up to `count`. @param {number} start @param {number} count */
  async bytes(start, count) {
    const stop = Math.min(start + count, this.size);
    if (start < this.#at || stop > this.#at + this.#window.length) {
      this.#at = start;
      this.#window = await this.#source.read(start, Math.min(Math.max(stop, start + WINDOW), this.size));
    }
    return this.#window.subarray(start - this.#at, Math.max(start, stop) - this.#at);
  }

  /** The element that starts here; null where none does, or it does not end within the source. @param {number} start */
  async element(start) {
    const head = await this.bytes(start, LONGEST_HEAD);
    const id = numberIn(head, 0, true);
    const size = id && numberIn(head, id.length, false);
    if (!id || !size || id.length > 4) return null;
    const content = start + id.length + size.length;
    const stop = size.value === null ? null : content + size.value;
    if (stop !== null && stop > this.size) return null;
    return /** @type {Element} */ ({ id: id.value, start, content, stop });
  }
}

/**
 * A number of variable length; `value` is null for the reserved one that says "unknown".
 *
 * @param {Uint8Array} bytes
 * @param {number} at
 * @param {boolean} marked whether the marker belongs to the number, as it does in ids
 */
function numberIn(bytes, at, marked) {
  const length = Math.clz32(bytes[at] ?? 0) - 23;
  if (length > 8 || at + length > bytes.length) return null;
  let value = marked ? bytes[at] : bytes[at] & (0xff >> length);
  let unknown = value === 0xff >> length;
  for (let i = 1; i < length; i++) {
    value = value * 256 + bytes[at + i];
    unknown &&= bytes[at + i] === 0xff;
  }
  return { length, value: unknown && !marked ? null : value };
}

/** The children of an element that is in memory as a whole. @param {Uint8Array} content @returns {{ id: number, content: Uint8Array, whole: Uint8Array }[]} */
export function childrenOf(content) {
  const children = [];
  for (let at = 0; at < content.length; ) {
    const id = numberIn(content, at, true);
    const size = id && numberIn(content, at + id.length, false);
    if (!id || !size || size.value === null) throw new RangeError("Not EBML");
    const start = at + id.length + size.length;
    const stop = start + size.value;
    if (stop > content.length) throw new RangeError("Not EBML");
    children.push({ id: /** @type {number} */ (id.value), content: content.subarray(start, stop), whole: content.subarray(at, stop) });
    at = stop;
  }
  return children;
}

/** An unsigned integer of up to 8 bytes. @param {Uint8Array} content */
export const unsigned = (content) => content.reduce((value, byte) => value * 256 + byte, 0);

/** A float of 0, 4 or 8 bytes. @param {Uint8Array} content */
export function float(content) {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  if (content.length === 4) return view.getFloat32(0);
  return content.length === 8 ? view.getFloat64(0) : 0;
}

/** @param {Uint8Array} content */
export const text = (content) => new TextDecoder().decode(content).replace(/\0+$/, "");

/** An id as bytes. @param {number} id */
export function idBytes(id) {
  const bytes = eight(id);
  return bytes.subarray(bytes.findIndex((byte) => byte !== 0));
}

/** The id and a size of 8 bytes that stand before an element's content. @param {number} id @param {number} size */
export function headOf(id, size) {
  const length = eight(size);
  length[0] = 0x01;
  return concat(idBytes(id), length);
}

/** An element as it is written. @param {number} id @param {...Uint8Array} content */
export function element(id, ...content) {
  const whole = concat(...content);
  return concat(headOf(id, whole.length), whole);
}

/** An element that holds an unsigned integer, always in 8 bytes, so that its length is known before its value. @param {number} id @param {number} value */
export const numberElement = (id, value) => concat(idBytes(id), Uint8Array.of(0x88), eight(value));

/** @param {number} id @param {number} value */
export function floatElement(id, value) {
  const content = new Uint8Array(8);
  new DataView(content.buffer).setFloat64(0, value);
  return concat(idBytes(id), Uint8Array.of(0x88), content);
}

/** @param {number} id @param {string} value */
export const textElement = (id, value) => element(id, ascii(value));

/** @param {number} value @returns {Bytes} */
function eight(value) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(Math.round(value)));
  return bytes;
}
