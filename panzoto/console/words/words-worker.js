// The Worker of transcripts: it fetches them sealed, keeps them sealed, opens them in memory and searches
// them, so that the page never waits for it. The page ends it when the vault is locked.

import * as hpke from "../node_modules/hpke/index.js";
import { toBase64 } from "../library/bytes.js";
import { openName } from "../library/names.js";
import { Service } from "../library/service.js";
import { openTranscript, sealTranscript } from "../library/transcripts.js";
import { Collection } from "./collection.js";
import { corrected } from "./correcting.js";
import { readDocument } from "./document.js";
import { packedError } from "./errors.js";
import { follow, isLostTrack, rowOf } from "./following.js";
import { SealedRows } from "./sealed-rows.js";

/** @import { Vault } from "../library/keys.js" */
/** @import { Position, Told } from "./collection.js" */
/** @import { Correction } from "./correcting.js" */
/** @import { Document, Segment } from "./document.js" */
/** @import { SealedRow } from "./sealed-rows.js" */

/**
 * A transcript as a view shows it.
 *
 * @typedef {object} Transcript
 * @property {string} revision
 * @property {string | null} language
 * @property {string | null} source
 * @property {Uint8Array<ArrayBuffer>} json
 * @property {Segment[]} segments
 */

const TELL_MS = 200;
// A long transcript is told in parts, none of which keeps the page from drawing; a word counts as a segment does.
const PART = 2_000;

/** @type {{ userId: string, vault: Vault, rows: SealedRows, collection: Collection } | null} */
let mine = null;
/** What else is asked waits until what the browser keeps is known. */
let begun = Promise.resolve();
/** @type {string | undefined} */
let cursor;
let following = false;
let askedAgain = false;
let lastTold = 0;
let asked = 0;
/** @type {Map<number, (token: string | null) => void>} */
const waiting = new Map();
/** Answers of which the page is yet to take a part. @type {Map<number, (value: unknown) => void>} */
const taken = new Map();

const service = new Service(location.origin, { token: () => tokenOf(null), refused: tokenOf });

/** The page has the tokens, and renews them. @param {string | null} used @returns {Promise<string | null>} */
function tokenOf(used) {
  const number = ++asked;
  postMessage({ wanted: "token", number, used });
  return new Promise((resolve) => waiting.set(number, resolve));
}

function here() {
  if (mine === null) throw new Error("Nobody is signed in");
  return mine;
}

/** @param {string} fileId @param {Uint8Array<ArrayBuffer>} sealed @returns {Promise<Document>} */
async function opened(fileId, sealed) {
  const { vault, userId } = here();
  return readDocument(await openTranscript(hpke, vault, userId, fileId, sealed));
}

/** Tell the page how far the opening is; not too often, but for the last time. @param {boolean} [last] */
function tellProgress(last = false) {
  if (!last && performance.now() - lastTold < TELL_MS) return;
  lastTold = performance.now();
  postMessage({ told: "progress", following, ...here().collection.counts() });
}

async function openAll() {
  await here().collection.openAll(() => tellProgress());
  tellProgress(true);
}

/** @param {import("./sealed-rows.js").ChangesPage} page */
function takePage({ written, gone }) {
  const { collection } = here();
  for (const [fileId] of written) collection.sealed(fileId);
  for (const fileId of gone) collection.gone(fileId);
  const changed = [...written.map(([fileId]) => fileId), ...gone];
  if (changed.length > 0) postMessage({ told: "changed", fileIds: changed });
  openAll();
}

async function followAnew() {
  const { rows } = here();
  try {
    cursor = await follow(service, rows, cursor, takePage);
  } catch (error) {
    if (!isLostTrack(error) || cursor === undefined) throw error;
    const former = await rows.fileIds();
    await rows.forget();
    for (const fileId of former) here().collection.gone(fileId);
    cursor = await follow(service, rows, undefined, takePage);
  }
}

const calls = {
  /** Begin with an open vault. @param {{ userId: string, vault: Vault, most?: number }} wanted */
  async begin({ userId, vault, most }) {
    const rows = new SealedRows(userId);
    const collection = new Collection(
      {
        read: (fileIds) => rows.read(fileIds),
        transcript: opened,
        title: (fileId, sealed) => openName(vault, "title", fileId, sealed),
      },
      most,
    );
    mine = { userId, vault, rows, collection };
    if (vault.transcripts.foreign) return;
    cursor = await rows.cursor();
    for (const fileId of await rows.fileIds()) collection.sealed(fileId);
  },

  /** @param {{ listed: Told[], gone: string[] }} changes */
  async list({ listed, gone }) {
    await here().collection.list(listed, gone);
    openAll();
  },

  /** Fetch what has changed. */
  async follow() {
    if (here().vault.transcripts.foreign) return;
    askedAgain = true;
    if (following) return;
    following = true;
    try {
      while (askedAgain) {
        askedAgain = false;
        await followAnew();
      }
    } finally {
      following = false;
      tellProgress(true);
    }
  },

  /** @param {{ text: string, position: Position | null, limit: number }} wanted */
  find: (wanted) => here().collection.find(wanted),

  /** @param {string[]} fileIds */
  beginnings: (fileIds) => here().collection.beginnings(fileIds),

  /**
   * The transcript of this revision, or the one that is there by now.
   *
   * @param {{ fileId: string, revision: string }} wanted
   */
  async read({ fileId, revision }) {
    const [kept] = await here().rows.read([fileId]);
    const row = kept !== null && kept.revision === revision ? kept : await fetched(fileId);
    return shown(fileId, row);
  },

  /**
   * Write a corrected transcript over the one of this revision; rejects with `conflict` where there is
   * another.
   *
   * @param {{ fileId: string, revision: string, language: string | null, json: Uint8Array<ArrayBuffer>,
   *   corrections: Correction[] }} wanted
   */
  async correct({ fileId, revision, language, json, corrections }) {
    const { vault, userId } = here();
    const next = corrected(json, corrections);
    const sealed = await sealTranscript(hpke, vault, userId, fileId, next);
    const body = { sealed: toBase64(sealed), revision, language };
    const written = await service.call("PUT", pathOf(fileId), body);
    return shown(fileId, { ...written, sealed });
  },
};

const pathOf = (/** @type {string} */ fileId) => `/api/audio-file/${fileId}/transcript`;

/** @param {string} fileId */
const fetched = async (fileId) => rowOf(await service.call("GET", pathOf(fileId)));

/** @param {string} fileId @param {SealedRow} row @returns {Promise<Transcript>} */
async function shown(fileId, { sealed, revision, language, source }) {
  return { revision, language, source, ...(await opened(fileId, sealed)) };
}

/** @param {Segment[]} segments @returns {Generator<Segment[]>} */
function* partsOf(segments) {
  let [first, weight] = [0, 0];
  for (let at = 0; at < segments.length; at++) {
    weight += 1 + segments[at].words.length;
    if (weight < PART && at + 1 < segments.length) continue;
    yield segments.slice(first, at + 1);
    [first, weight] = [at + 1, 0];
  }
}

addEventListener("message", async ({ data }) => {
  if (data.wanted === "token") {
    waiting.get(data.number)?.(data.token);
    waiting.delete(data.number);
    return;
  }
  if (data.taken !== undefined) {
    taken.get(data.taken)?.(undefined);
    taken.delete(data.taken);
    return;
  }
  const { number, call, argument } = data;
  try {
    const work = /** @type {(argument: any) => any} */ (calls[/** @type {keyof typeof calls} */ (call)]);
    if (call === "begin") begun = work(argument);
    await begun;
    const result = call === "begin" ? undefined : await work(argument);
    if (result?.segments) {
      for (const part of partsOf(result.segments)) {
        postMessage({ number, part });
        // Several at once would be taken in one go.
        await new Promise((resolve) => taken.set(number, resolve));
      }
      result.segments = [];
    }
    // What is as large as it may be is handed over, not copied.
    postMessage({ number, result }, { transfer: result?.json ? [result.json.buffer] : [] });
  } catch (error) {
    postMessage({ number, error: packedError(error) });
  }
});
