// Which kind of sound it is, by what was announced or else by its first bytes, and how its files end.

/** How many of the first bytes tell. */
export const TELLING_BYTES = 64;

// What is no `audio/…` and may hold sound all the same, as the service's own playback has it.
const VIDEO = ["mp2t", "mp4", "webm", "ogg", "3gpp", "3gpp2", "quicktime", "x-matroska"].map((kind) => `video/${kind}`);
export const UNKNOWN = "application/octet-stream";

const ENDINGS = /** @type {Record<string, string>} */ ({
  "audio/aac": ".aac",
  "audio/amr": ".amr",
  "audio/amr-wb": ".awb",
  "audio/3gpp": ".3gp",
  "audio/flac": ".flac",
  "audio/mp4": ".m4a",
  "audio/m4a": ".m4a",
  "audio/x-m4a": ".m4a",
  "audio/mpeg": ".mp3",
  "audio/ogg": ".ogg",
  "audio/opus": ".opus",
  "audio/wav": ".wav",
  "audio/x-wav": ".wav",
  "audio/wave": ".wav",
  "audio/webm": ".webm",
  "audio/x-caf": ".caf",
  "audio/aiff": ".aiff",
  "video/3gpp": ".3gp",
  "video/3gpp2": ".3g2",
  "video/mp2t": ".ts",
  "video/mp4": ".mp4",
  "video/ogg": ".ogv",
  "video/quicktime": ".mov",
  "video/webm": ".webm",
  "video/x-matroska": ".mkv",
});

/**
 * The type to serve sound as. What the bytes say goes first, since a browser that is told something else plays
 * nothing; then what was announced, where that is sound at all.
 *
 * @param {Uint8Array} beginning its first bytes
 * @param {string | null} announced
 */
export function kindOf(beginning, announced) {
  return told(beginning) ?? (announced !== null && isSound(announced) ? bare(announced) : UNKNOWN);
}

/** Whether no browser plays this: AMR, bare. In 3GP only the attempt tells, since it may hold AAC. @param {string} kind */
export const isUnheardOf = (kind) => kind === "audio/amr" || kind === "audio/amr-wb";

/** How the name of a file of this kind ends. @param {string} kind */
export const endingOf = (kind) => ENDINGS[kind] ?? ".bin";

const bare = (/** @type {string} */ type) => type.split(";", 1)[0].trim().toLowerCase();

/** @param {string} type */
function isSound(type) {
  return /^audio\/[a-z0-9.+-]+$/.test(bare(type)) || VIDEO.includes(bare(type));
}

/** @param {Uint8Array} bytes @returns {string | null} */
function told(bytes) {
  const at = (/** @type {number} */ start, /** @type {number} */ stop) =>
    String.fromCharCode(...bytes.subarray(start, stop));
  if (at(0, 9) === "#!AMR-WB\n") return "audio/amr-wb";
  if (at(0, 5) === "#!AMR") return "audio/amr";
  if (at(0, 4) === "RIFF" && at(8, 12) === "WAVE") return "audio/wav";
  if (at(0, 4) === "OggS") return "audio/ogg";
  if (at(0, 4) === "fLaC") return "audio/flac";
  if (at(0, 4) === "\x1a\x45\xdf\xa3") return at(0, bytes.length).includes("webm") ? "audio/webm" : "video/x-matroska";
  if (at(4, 8) === "ftyp") return at(8, 10) === "3g" ? "audio/3gpp" : "audio/mp4";
  if (at(0, 3) === "ID3") return "audio/mpeg";
  return framed(bytes);
}

/** Frames of MPEG without anything before them. @param {Uint8Array} bytes @returns {string | null} */
function framed(bytes) {
  if (bytes.length < 2 || bytes[0] !== 0xff) return null;
  // ISO/IEC 13818-7, 6.2: twelve bits of ones, the version, and a layer that is zero in ADTS alone.
  if ((bytes[1] & 0xf6) === 0xf0) return "audio/aac";
  return (bytes[1] & 0xe0) === 0xe0 && (bytes[1] & 0x06) !== 0 ? "audio/mpeg" : null;
}
