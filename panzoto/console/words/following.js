// Fetching what has changed among the account's transcripts, page by page.

import { fromBase64 } from "../library/bytes.js";
import { ServiceError } from "../library/errors.js";

/** @import { Service } from "../library/service.js" */
/** @import { ChangesPage, SealedRow, SealedRows } from "./sealed-rows.js" */

// Small enough to be told soon, and to show how the opening goes on.
const PAGE = 250;

/**
 * Keep all changes up to now, and tell of each page once it is kept. Rejects with a ServiceError.
 *
 * @param {Service} service
 * @param {SealedRows} rows
 * @param {string | undefined} since the cursor of the last time
 * @param {(page: ChangesPage) => void} told
 * @returns {Promise<string | undefined>} the cursor for the next time
 */
export async function follow(service, rows, since, told) {
  let after = since;
  for (let more = true; more; ) {
    const answer = await service.call("GET", pathOf(after));
    const page = pageOf(answer, after);
    await rows.take(page);
    told(page);
    [after, more] = [page.next, answer.more];
  }
  return after;
}

/**
 * Whether all must be fetched anew: the cursor is one of long ago, or of another service.
 *
 * @param {unknown} error
 */
export const isLostTrack = (error) => error instanceof ServiceError && error.code === "invalid_cursor";

/** @param {string | undefined} since */
const pathOf = (since) =>
  `/api/user/transcripts?limit=${PAGE}${since === undefined ? "" : `&since=${encodeURIComponent(since)}`}`;

/** @param {any} answer @param {string | undefined} after @returns {ChangesPage} */
function pageOf({ transcripts, next }, after) {
  /** @type {[string, SealedRow][]} */
  const written = [];
  /** @type {string[]} */
  const gone = [];
  for (const { file_id, deleted, ...row } of transcripts) {
    if (deleted) gone.push(file_id);
    else written.push([file_id, rowOf(row)]);
  }
  return { after, next, written, gone };
}

/** A transcript as the service tells it. @param {any} told @returns {SealedRow} */
export function rowOf({ sealed, revision, language, created_at, source }) {
  return { sealed: fromBase64(sealed), revision, language, created_at, source };
}
