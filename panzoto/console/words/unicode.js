// How texts are folded for comparison, and where their words begin and end: the same as in the service's
// search, whatever edition of Unicode a browser has. It divides without dictionaries, which Intl.Segmenter
// does not.
//
// Borders are those of the default rules of Unicode's annex 29 (https://www.unicode.org/reports/tr29/), found
// in the folded text; of the pieces between them those are words that hold a letter or a number.

import { PROPERTIES, RUNS } from "./characters.js";

const LAST = 0x10ffff;
const WRITTEN = 0x80;
const CHEROKEE = /[\u13a0-\u13fd\uab70-\uabbf]/;
const ASCII = /^[\0-\x7f]*$/;

/**
 * Of every character its place in `PROPERTIES`; a megabyte, so it waits for who needs it.
 *
 * @type {Uint8Array | null}
 */
let places = null;
/** The code of each entry's kind, with `WRITTEN` added for letters and numbers. */
const CODES = PROPERTIES.map((entry) => entry.charCodeAt(0) | (entry.includes("w") ? WRITTEN : 0));
const UNKNOWN = PROPERTIES.map((entry) => entry.includes("u"));
/** What each character becomes; most texts get by with a few hundred. @type {Map<string, string>} */
const foldings = new Map();
const MOST_REMEMBERED = 16_384;

function table() {
  if (places !== null) return places;
  places = new Uint8Array(LAST + 1);
  let at = 0;
  for (const [, length, letter] of RUNS.matchAll(/([0-9a-z]*)([A-Z])/g)) {
    const end = at + (length ? parseInt(length, 36) : 1);
    places.fill(letter.charCodeAt(0) - 65, at, end);
    at = end;
  }
  return places;
}

/** Whether a text is plain ASCII, which folds character for character. */
export const isAscii = (/** @type {string} */ text) => ASCII.test(text);

/**
 * Return a text for comparison: NFKD, full case folding, NFKD again, and nothing of category M.
 *
 * Each character is folded by itself, which gives the same, since the order of marks is all that a neighbour
 * could change.
 */
export function folded(/** @type {string} */ text) {
  if (isAscii(text)) return text.toLowerCase();
  let whole = "";
  for (const character of text) whole += foldingOf(character);
  return whole;
}

/**
 * Return where in the folded text each character of a text begins, and its end behind them; what is folded to
 * nothing begins where the next does, and the second half of a pair where its folding ends.
 *
 * @returns {Uint32Array} one more than the text has code units
 */
export function foldedOffsets(/** @type {string} */ text) {
  const offsets = new Uint32Array(text.length + 1);
  let at = 0;
  let to = 0;
  for (const character of text) {
    offsets[at] = to;
    to += foldingOf(character).length;
    offsets.fill(to, at + 1, at + character.length);
    at += character.length;
  }
  offsets[at] = to;
  return offsets;
}

function foldingOf(/** @type {string} */ character) {
  const known = foldings.get(character);
  if (known !== undefined) return known;
  if (foldings.size >= MOST_REMEMBERED) foldings.clear();
  const folding = UNKNOWN[table()[codePoint(character)]] ? character : foldingOfKnown(character);
  foldings.set(character, folding);
  return folding;
}

const foldingOfKnown = (/** @type {string} */ character) =>
  [...character.normalize("NFKD")].map(caseFolded).join("").normalize("NFKD").replace(/\p{M}/gu, "");

/** Full case folding, which JavaScript lacks: all forms of a letter meet at the small form of its capital. */
function caseFolded(/** @type {string} */ letter) {
  // A dotless i has the capital of the other one, and is another letter. Cherokee folds to its older
  // capitals.
  if (letter === "ı") return letter;
  if (CHEROKEE.test(letter)) return letter.toUpperCase();
  return letter.toLowerCase().toUpperCase().toLowerCase();
}

const codePoint = (/** @type {string} */ character) => /** @type {number} */ (character.codePointAt(0));

/** Return only the letters and numbers of a text that its reader can fold, folded. */
export function lettersOf(/** @type {string} */ text) {
  let letters = "";
  for (const character of folded(text)) {
    const entry = table()[codePoint(character)];
    if (CODES[entry] & WRITTEN && !UNKNOWN[entry]) letters += character;
  }
  return letters;
}

/**
 * Yield where the words of a folded text lie, as `[start, end]` in code units.
 *
 * @returns {Generator<[number, number]>}
 */
export function* borders(/** @type {string} */ text) {
  const kinds = kindsOf(text);
  for (let start = 0; start < text.length; ) {
    const end = pieceAt(kinds, start);
    if (end === start) {
      start++;
      continue;
    }
    // A connector alone is no word, nor is a letter in a box, which Unicode counts among the symbols.
    if (kinds.subarray(start, end).some((kind) => kind & WRITTEN)) yield [start, end];
    start = end;
  }
}

/** Return the words of a folded text in order. */
export const wordsOf = (/** @type {string} */ text) =>
  Array.from(borders(text), ([start, end]) => text.slice(start, end));

/** The kind of each code unit; the second half of a pair has one of its own, which is bound as marks are. */
function kindsOf(/** @type {string} */ text) {
  const kinds = new Uint8Array(text.length);
  const entries = table();
  for (let at = 0; at < text.length; at++) {
    const point = /** @type {number} */ (text.codePointAt(at));
    kinds[at] = CODES[entries[point]];
    if (point > 0xffff) kinds[++at] = Kind.half;
  }
  return kinds;
}

const code = (/** @type {string} */ letter) => letter.charCodeAt(0);
const Kind = {
  Z: code("Z"), E: code("E"), H: code("H"), A: code("A"), N: code("N"), K: code("K"), X: code("X"),
  O: code("O"), P: code("P"), l: code("l"), n: code("n"), b: code("b"), q: code("q"), d: code("d"),
  half: code("s"),
};
const EXTENDING = [Kind.E, Kind.Z, Kind.half];
const MIDDLE_OF_LETTERS = [Kind.l, Kind.b, Kind.q];
const MIDDLE_OF_NUMBERS = [Kind.n, Kind.b, Kind.q];

/** @param {Uint8Array} kinds @param {number} at */
const kindAt = (kinds, at) => kinds[at] & ~WRITTEN;

/** Behind what only extends the character before: WB4. @param {Uint8Array} kinds @param {number} at */
function extended(kinds, at) {
  while (EXTENDING.includes(kindAt(kinds, at))) at++;
  return at;
}

/** @param {Uint8Array} kinds @param {number} at */
const isLetter = (kinds, at) => kindAt(kinds, at) === Kind.A || kindAt(kinds, at) === Kind.H;

/**
 * The end of a piece that begins here and may be a word, or `start` where none does.
 *
 * @param {Uint8Array} kinds
 * @param {number} start
 */
function pieceAt(kinds, start) {
  if (kindAt(kinds, start) === Kind.O) return withPicture(kinds, extended(kinds, start + 1));
  let at = start;
  // WB13a, WB13b: connectors bind runs together.
  for (let connected = true; connected; ) {
    at = connectors(kinds, at);
    const run = runAt(kinds, at);
    connected = run !== at && kindAt(kinds, run) === Kind.X;
    if (!connected) at = withQuote(kinds, at, run);
    else at = run;
  }
  return at === start ? start : withPicture(kinds, at);
}

/** @param {Uint8Array} kinds @param {number} at */
function connectors(kinds, at) {
  while (kindAt(kinds, at) === Kind.X) at = extended(kinds, at + 1);
  return at;
}

/**
 * Behind the letters and numbers here, or the Katakana: WB13.
 *
 * @param {Uint8Array} kinds
 * @param {number} at
 */
function runAt(kinds, at) {
  if (kindAt(kinds, at) === Kind.K) {
    while (kindAt(kinds, at) === Kind.K) at = extended(kinds, at + 1);
    return at;
  }
  for (let next = letterOrNumber(kinds, at); next !== at; next = letterOrNumber(kinds, at)) at = next;
  return at;
}

/**
 * Behind one stretch of letters or numbers with what joins it to the next; `at` where there is none.
 *
 * @param {Uint8Array} kinds
 * @param {number} at
 */
function letterOrNumber(kinds, at) {
  const kind = kindAt(kinds, at);
  if (kind === Kind.H) return hebrew(kinds, extended(kinds, at + 1)) ?? at;
  if (kind !== Kind.A && kind !== Kind.N) return at;
  while (kindAt(kinds, at) === kind) at = extended(kinds, at + 1);
  const isLetters = kind === Kind.A;
  // WB6, WB7, WB11, WB12: a mark in the middle of letters, or of numbers, divides nothing.
  if (!(isLetters ? MIDDLE_OF_LETTERS : MIDDLE_OF_NUMBERS).includes(kindAt(kinds, at))) return at;
  const next = extended(kinds, at + 1);
  return (isLetters ? isLetter(kinds, next) : kindAt(kinds, next) === Kind.N) ? next : at;
}

/**
 * The same behind a Hebrew letter, null where a quote ends the word: WB7a, WB7b, WB7c.
 *
 * @param {Uint8Array} kinds
 * @param {number} at
 */
function hebrew(kinds, at) {
  const kind = kindAt(kinds, at);
  const next = extended(kinds, at + 1);
  if (MIDDLE_OF_LETTERS.includes(kind) && isLetter(kinds, next)) return next;
  if (kind === Kind.d && kindAt(kinds, next) === Kind.H) return next;
  return kind === Kind.q ? null : at;
}

/**
 * WB7a: a quote behind a Hebrew letter belongs to it, and ends the word.
 *
 * @param {Uint8Array} kinds
 * @param {number} from
 * @param {number} run
 */
function withQuote(kinds, from, run) {
  if (kindAt(kinds, from) === Kind.K || kindAt(kinds, run) !== Kind.H) return run;
  return extended(kinds, extended(kinds, run + 1) + 1);
}

/** WB3c: what is joined to a picture goes with it. @param {Uint8Array} kinds @param {number} at */
function withPicture(kinds, at) {
  const isJoined = kindAt(kinds, at - 1) === Kind.Z && kindAt(kinds, at) === Kind.P;
  return isJoined ? extended(kinds, at + 1) : at;
}
