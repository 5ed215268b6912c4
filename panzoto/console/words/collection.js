// The transcripts and titles of an account as they are searched: opened one after the other, the newest
// first.
//
// Of each transcript only its folded text stays in memory, without times or words, and of all together no
// more than `most` characters. What is beyond that is opened anew by each search that comes so far. What a
// hit shows is opened for it, and forgotten again.

import { DividedText, joined, mayHold } from "./divided-text.js";
import { passagesIn } from "./passages.js";
import { parseQuery } from "./query.js";
import { folded } from "./unicode.js";

/** @import { Document, Segment } from "./document.js" */
/** @import { Passage } from "./passages.js" */
/** @import { Query } from "./query.js" */
/** @import { SealedRow } from "./sealed-rows.js" */

/**
 * What is searched of a recording.
 *
 * @typedef {object} Told
 * @property {string} fileId
 * @property {number} at the moment by which it is listed, in milliseconds since 1970
 * @property {string | null} title as it is sealed
 *
 * @typedef {object} Entry
 * @property {string} fileId
 * @property {Told | null} told null for what is in no list, as in the trash: it is not searched
 * @property {string} title folded; empty where there is none
 * @property {"none" | "sealed" | "open" | "large" | "damaged"} state of its transcript
 * @property {string} text folded, where it is open
 * @property {string} beginning of what was said
 *
 * @typedef {{ entry: Entry, inTitle: boolean, inText: boolean }} Candidate
 *
 * @typedef {object} Hit
 * @property {string} fileId
 * @property {Passage | null} title where the query holds in it
 * @property {Passage[]} passages of the transcript
 *
 * @typedef {{ at: number, fileId: string }} Position
 * @typedef {{ hits: Hit[], position: Position | null, searched: number }} Found `position` is null at the end
 *
 * @typedef {object} Opening
 * @property {(fileIds: string[]) => Promise<(SealedRow | null)[]>} read
 * @property {(fileId: string, sealed: Uint8Array<ArrayBuffer>) => Promise<Document>} transcript
 * @property {(fileId: string, sealed: string) => Promise<string>} title
 */

/**
 * So many characters of folded texts stay in memory: two bytes each at most, and one for most languages of
 * Europe.
 */
export const MOST_CHARACTERS = 64 * 1024 * 1024;
const AT_ONCE = 16;
const BEGINNING = 160;
// A search answers after so long with what it has, so that the first hits need not wait for the last.
const PATIENCE_MS = 60;

export class Collection {
  /** @type {Map<string, Entry>} */
  #entries = new Map();
  /** @type {Entry[] | null} */
  #order = null;
  #opening;
  #most;
  #characters = 0;
  #busy = false;

  /** @param {Opening} opening @param {number} [most] */
  constructor(opening, most = MOST_CHARACTERS) {
    this.#opening = opening;
    this.#most = most;
  }

  /** How many transcripts of listed recordings there are, and how many of them are open. */
  counts() {
    const entries = this.#sorted().filter(({ state }) => state !== "none");
    return { ready: entries.filter(({ state }) => state !== "sealed").length, all: entries.length };
  }

  /**
   * Take in what recordings there are, or have changed; `gone` are no longer listed.
   *
   * @param {Told[]} listed
   * @param {string[]} gone
   */
  async list(listed, gone) {
    this.#order = null;
    for (const fileId of gone) this.#entry(fileId).told = null;
    for (const told of listed) {
      const entry = this.#entry(told.fileId);
      if (told.title !== (entry.told?.title ?? null)) entry.title = "";
      entry.told = told;
    }
    await inBatches(listed, (told) => this.#openTitle(told));
  }

  /** There is a sealed transcript of this recording, or another one. @param {string} fileId */
  sealed(fileId) {
    this.#close(fileId, "sealed");
  }

  /** There is none any more. @param {string} fileId */
  gone(fileId) {
    this.#close(fileId, "none");
  }

  /**
   * Open all that is closed, telling whenever some are open; resolves at once where that goes on already.
   *
   * @param {() => void} told
   */
  async openAll(told) {
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let next = this.#closed(); next.length > 0; next = this.#closed()) {
        await this.#openThese(next);
        told();
      }
    } finally {
      this.#busy = false;
    }
  }

  /**
   * What was said first, of each of these recordings; empty where that is not known.
   *
   * @param {string[]} fileIds
   */
  async beginnings(fileIds) {
    const closed = fileIds.map((fileId) => this.#entry(fileId)).filter(({ state }) => state === "sealed");
    await this.#openThese(closed);
    return fileIds.map((fileId) => this.#entry(fileId).beginning);
  }

  /**
   * Look for a query, the newest first, behind a position if there is one, until there are `limit` hits or it
   * has taken a while. Null where the query wants no word.
   *
   * @param {{ text: string, position: Position | null, limit: number }} wanted
   * @returns {Promise<Found | null>}
   */
  async find({ text, position, limit }) {
    const query = parseQuery(text);
    if (query === null) return null;
    const all = this.#sorted();
    const behind = position === null ? all : all.filter((entry) => isBehind(entry, position));
    const end = performance.now() + PATIENCE_MS;
    /** @type {Hit[]} */
    const hits = [];
    let searched = 0;
    while (searched < behind.length && hits.length < limit && performance.now() < end) {
      const candidates = [];
      while (searched < behind.length && candidates.length < Math.min(limit - hits.length, AT_ONCE)) {
        const candidate = candidateOf(behind[searched], query);
        searched++;
        if (candidate !== null) candidates.push(candidate);
        else if (performance.now() >= end) break;
      }
      const found = await Promise.all(candidates.map((candidate) => this.#shown(candidate, query)));
      hits.push(...found.filter((hit) => hit !== null));
    }
    return { hits, position: searched < behind.length ? positionOf(behind[searched - 1]) : null, searched };
  }

  /** @param {Candidate} candidate @param {Query} query @returns {Promise<Hit | null>} */
  async #shown({ entry: { fileId, told }, inTitle, inText }, query) {
    const title = inTitle && told?.title ? await this.#opening.title(fileId, told.title).catch(() => "") : "";
    const [ofTitle = null] = title ? passagesIn([wholeTitle(title)], query) : [];
    const document = inText ? await this.#document(fileId) : null;
    const passages = document === null ? [] : passagesIn(document.segments, query);
    return ofTitle === null && passages.length === 0 ? null : { fileId, title: ofTitle, passages };
  }

  /** @param {string} fileId @returns {Promise<Document | null>} */
  async #document(fileId) {
    const [row] = await this.#opening.read([fileId]);
    return row === null ? null : this.#opening.transcript(fileId, row.sealed).catch(() => null);
  }

  /** @param {string} fileId */
  #entry(fileId) {
    let entry = this.#entries.get(fileId);
    if (entry === undefined) {
      entry = { fileId, told: null, title: "", state: "none", text: "", beginning: "" };
      this.#entries.set(fileId, entry);
    }
    return entry;
  }

  /** Listed recordings, the newest first, of one moment by their ids. */
  #sorted() {
    this.#order ??= [...this.#entries.values()]
      .filter(({ told }) => told !== null)
      .sort((one, other) => (isBehind(one, positionOf(other)) ? 1 : -1));
    return this.#order;
  }

  #closed() {
    const closed = [];
    for (const entry of this.#sorted()) {
      if (entry.state === "sealed" && closed.push(entry) === AT_ONCE) break;
    }
    return closed;
  }

  /** @param {Entry[]} entries */
  async #openThese(entries) {
    if (entries.length === 0) return;
    const rows = await this.#opening.read(entries.map(({ fileId }) => fileId));
    await Promise.all(entries.map((entry, place) => this.#open(entry, rows[place])));
  }

  /** @param {Entry} entry @param {SealedRow | null} row */
  async #open(entry, row) {
    if (row === null) return this.#close(entry.fileId, "none");
    const document = await this.#opening.transcript(entry.fileId, row.sealed).catch(() => null);
    // Another one may have come meanwhile, or somebody else may have opened it.
    if (entry.state !== "sealed") return;
    if (document === null) {
      entry.state = "damaged";
      return;
    }
    entry.beginning = beginningOf(document.segments);
    const text = joined(document.segments.map((segment) => folded(segment.text)));
    if (this.#characters + text.length > this.#most) {
      entry.state = "large";
      return;
    }
    this.#characters += text.length;
    entry.text = text;
    entry.state = "open";
  }

  /** @param {string} fileId @param {"sealed" | "none"} state */
  #close(fileId, state) {
    const entry = this.#entry(fileId);
    this.#characters -= entry.text.length;
    entry.text = "";
    entry.beginning = "";
    entry.state = state;
  }

  /** @param {Told} told */
  async #openTitle(told) {
    if (told.title === null) return;
    const title = await this.#opening.title(told.fileId, told.title).catch(() => "");
    const entry = this.#entry(told.fileId);
    if (entry.told?.title === told.title) entry.title = joined([folded(title)]);
  }
}

/** @param {string} text @param {Query} query */
const holds = (text, query) => mayHold(text, query) && new DividedText(text).holds(query);

/**
 * Whether something of an entry is to be opened for a query, and what.
 *
 * @param {Entry} entry
 * @param {Query} query
 * @returns {Candidate | null}
 */
function candidateOf(entry, query) {
  const inTitle = entry.title !== "" && holds(entry.title, query);
  const inText = entry.state === "large" || (entry.state === "open" && holds(entry.text, query));
  return inTitle || inText ? { entry, inTitle, inText } : null;
}

/** @param {Entry} entry @returns {Position} */
const positionOf = ({ fileId, told }) => ({ at: told?.at ?? 0, fileId });

/** @param {Entry} entry @param {Position} position */
const isBehind = ({ fileId, told }, { at, fileId: other }) =>
  told !== null && (told.at < at || (told.at === at && fileId > other));

/** A title as if it had been said. @param {string} text @returns {Segment} */
const wholeTitle = (text) => ({ start_ms: 0, end_ms: 0, text, speaker: null, words: [], place: 0 });

/** @param {Segment[]} segments */
function beginningOf(segments) {
  let beginning = "";
  for (const { text } of segments) {
    if (beginning.length >= BEGINNING) break;
    beginning += `${beginning && " "}${text.replace(/\s+/gu, " ")}`;
  }
  return Array.from(beginning.slice(0, 2 * BEGINNING)).slice(0, BEGINNING).join("");
}

/** @template T @param {T[]} all @param {(one: T) => Promise<unknown>} work */
async function inBatches(all, work) {
  for (let at = 0; at < all.length; at += AT_ONCE) await Promise.all(all.slice(at, at + AT_ONCE).map(work));
}
