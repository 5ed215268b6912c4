// Answers to ranges of plain sound, RFC 9110 (14), from authenticated segments alone.

/** @typedef {import("../library/recordings.js").RecordingReader} RecordingReader */

// What is decrypted is shown by no browser as a page, whatever it is, and kept in no cache.
const PLAIN_HEADERS = {
  "Cache-Control": "no-store",
  "Content-Security-Policy": "default-src 'none'; sandbox",
  "Cross-Origin-Resource-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
};

/**
 * The part of `length` bytes that a Range header asks for: `[start, stop)`; null for all of it, which is also
 * the answer to what is no range of bytes or several; "none" for one that holds nothing.
 *
 * @param {string | null} header
 * @param {number} length
 * @returns {[number, number] | null | "none"}
 */
export function rangeOf(header, length) {
  const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? "") ?? [];
  if (first === "" && last === "") return null;
  if (first === "") return Number(last) === 0 || length === 0 ? "none" : [Math.max(0, length - Number(last)), length];
  const start = Number(first);
  if (last !== "" && Number(last) < start) return null;
  return start >= length ? "none" : [start, last === "" ? length : Math.min(Number(last) + 1, length)];
}

/**
 * Answer a GET or HEAD of a recording.
 *
 * @param {Request} request
 * @param {{ reader: RecordingReader, kind: string }} sound
 * @param {(error: unknown) => void} failed is told why a body broke off
 */
export function answerRange(request, { reader, kind }, failed) {
  const { length } = reader;
  const range = rangeOf(request.headers.get("Range"), length);
  const common = { ...PLAIN_HEADERS, "Content-Type": kind, "Accept-Ranges": "bytes" };
  if (range === "none") {
    return new Response(null, { status: 416, headers: { ...common, "Content-Range": `bytes */${length}` } });
  }
  const [start, stop] = range ?? [0, length];
  const headers = new Headers({ ...common, "Content-Length": String(stop - start) });
  if (range !== null) headers.set("Content-Range", `bytes ${start}-${stop - 1}/${length}`);
  const body = request.method === "HEAD" ? null : plainStream(reader, start, stop, failed);
  return new Response(body, { status: range === null ? 200 : 206, headers });
}

/**
 * Answer the whole of a recording as a file to be saved.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @param {{ name: string, kind: string, length?: number }} file
 */
export function answerFile(body, { name, kind, length }) {
  const headers = new Headers({ ...PLAIN_HEADERS, "Content-Type": kind, "Content-Disposition": disposition(name) });
  if (length !== undefined) headers.set("Content-Length", String(length));
  return new Response(body, { headers });
}

/**
 * Plain bytes as a stream that holds one segment and goes no faster than it is read.
 *
 * @param {RecordingReader} reader
 * @param {number} start
 * @param {number} stop
 * @param {(error: unknown) => void} failed
 * @returns {ReadableStream<Uint8Array>}
 */
export function plainStream(reader, start, stop, failed) {
  const enough = new AbortController();
  const pieces = reader.read(start, stop, { signal: enough.signal });
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await pieces.next();
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          if (enough.signal.aborted) return;
          failed(error);
          controller.error(error);
        }
      },
      cancel: () => enough.abort(),
    },
    { highWaterMark: 0 },
  );
}

/** `Content-Disposition` of a name in any script: RFC 6266 (5), with the encoding of RFC 8187. @param {string} name */
function disposition(name) {
  const plain = name.replace(/[^\x20-\x7e]|["\\%]/g, "_");
  const encoded = encodeURIComponent(name).replace(/['()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`);
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`;
}
