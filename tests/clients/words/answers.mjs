// What the console's modules make of texts, searches and corrections that come as JSON; the answers go out as JSON.

import { readFileSync } from "node:fs";

const WORDS = new URL("../../../panzoto/console/words/", import.meta.url);
const module = (name) => import(new URL(name, WORDS).href);
const { borders, folded, foldedOffsets, lettersOf } = await module("unicode.js");
const { parseQuery } = await module("query.js");
const { readDocument } = await module("document.js");
const { passagesIn } = await module("passages.js");
const { DividedText, joined, mayHold } = await module("divided-text.js");
const { FORMATS } = await module("rendering.js");
const { corrected } = await module("correcting.js");
const { WordTimes } = await module("word-times.js");

const bytes = (text) => new TextEncoder().encode(text);
const text = (bytes) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);

function ofText(written) {
  const letters = folded(written);
  return {
    folded: letters,
    words: [...borders(letters)].map(([start, end]) => letters.slice(start, end)),
    letters: lettersOf(written),
    end: foldedOffsets(written).at(-1) === letters.length,
  };
}

const ofQuery = (written) => {
  const query = parseQuery(written);
  const terms = (list) => list.map(({ words, isOpen }) => [words, isOpen]);
  return query && { wanted: terms(query.wanted), unwanted: terms(query.unwanted) };
};

function ofSearch({ json, query: written }) {
  const { segments } = readDocument(bytes(json));
  const query = parseQuery(written);
  if (query === null) return null;
  const whole = joined(segments.map((segment) => folded(segment.text)));
  const passages = passagesIn(segments, query);
  // What is passed over without dividing, or without opening the document again, is no hit.
  const told = mayHold(whole, query) && new DividedText(whole).holds(query);
  return { passages, told };
}

function ofDocument(json) {
  const document = readDocument(bytes(json));
  return Object.fromEntries(Object.entries(FORMATS).map(([name, { write }]) => [name, text(write(document))]));
}

const ofCorrection = ({ json, corrections }) => text(corrected(bytes(json), corrections));

const ofWords = (json) =>
  readDocument(bytes(json)).segments.map((segment) =>
    new WordTimes(segment).inText().map(({ start, end, word }) => [segment.text.slice(start, end), word.start_ms]),
  );

const asked = JSON.parse(readFileSync(0, "utf-8"));
const answer = { texts: ofText, queries: ofQuery, searches: ofSearch, documents: ofDocument, corrections: ofCorrection, words: ofWords };
process.stdout.write(
  JSON.stringify(Object.fromEntries(Object.entries(asked).map(([what, cases]) => [what, cases.map(answer[what])]))),
);
