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
const { Collection } = await module("collection.js");
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

/** What is found, a hit a call, in a collection of transcripts by their ids; `most` characters stay open. */
async function ofCollection({ said, titles = {}, gone = [], unlisted = [], most, query }) {
  let opened = 0;
  const sealed = new Map(Object.entries(said).map(([fileId, json]) => [fileId, bytes(json)]));
  const opening = {
    read: async (fileIds) => fileIds.map((fileId) => (sealed.has(fileId) ? { sealed: sealed.get(fileId) } : null)),
    transcript: async (fileId, json) => {
      opened++;
      return readDocument(json);
    },
    title: async (fileId, title) => title,
  };
  const collection = new Collection(opening, most);
  const ids = [...new Set([...sealed.keys(), ...Object.keys(titles)])];
  // The moment by which each is listed is the number in its id.
  const told = ids.map((fileId) => ({ fileId, at: parseInt(fileId, 10), title: titles[fileId] ?? null }));
  await collection.list(told, []);
  for (const fileId of sealed.keys()) collection.sealed(fileId);
  await collection.openAll(() => {});
  for (const fileId of gone) collection.gone(fileId);
  await collection.list([], unlisted);
  const first = opened;
  const found = [];
  for (let position = null, number = 0; number < 50; number++) {
    const portion = await collection.find({ text: query, position, limit: 1 });
    for (const { fileId, title, passages } of portion.hits) {
      found.push([fileId, title?.text ?? null, passages.map((passage) => passage.text)]);
    }
    ({ position } = portion);
    if (position === null) break;
  }
  return { found, counts: collection.counts(), opened: first, openedBySearch: opened - first };
}

const asked = JSON.parse(readFileSync(0, "utf-8"));
const answer = {
  texts: ofText,
  queries: ofQuery,
  searches: ofSearch,
  documents: ofDocument,
  corrections: ofCorrection,
  words: ofWords,
  collections: ofCollection,
};
const answers = {};
for (const [what, cases] of Object.entries(asked)) answers[what] = await Promise.all(cases.map(answer[what]));
process.stdout.write(JSON.stringify(answers));
