// Transcripts as they are sealed, in the browser's database, and up to where the service's changes are in it.

import { changeIf, forgetAll, kept, keptAll, keysOf } from "../database.js";

/**
 * @typedef {object} SealedRow a transcript as `GET /api/user/transcripts` lists it, its bytes out of base64
 * @property {Uint8Array<ArrayBuffer>} sealed
 * @property {string} revision
 * @property {string | null} language
 * @property {string | null} created_at
 * @property {string | null} source
 *
 * @typedef {object} ChangesPage
 * @property {string | undefined} after the cursor that it follows
 * @property {string} next the cursor behind it
 * @property {[fileId: string, row: SealedRow][]} written
 * @property {string[]} gone
 */

const STORE = "transcripts";

/**
 * One account's rows. Two tabs may write them: a page of changes is kept only behind the one that it follows.
 */
export class SealedRows {
  #userId;
  /**
   * What the database had no room for, as long as this page lives; null for what is gone.
   *
   * @type {Map<string, SealedRow | null>}
   */
  #held = new Map();
  #full = false;

  /** @param {string} userId */
  constructor(userId) {
    this.#userId = userId;
  }

  /** Up to where changes are kept; undefined where none are. @returns {Promise<string | undefined>} */
  cursor() {
    return kept(STORE, this.#cursorKey());
  }

  /** The recordings whose transcripts are kept. @returns {Promise<string[]>} */
  async fileIds() {
    const prefix = this.#key("");
    return (await keysOf(STORE, prefix)).map((key) => key.slice(prefix.length));
  }

  /** @param {string[]} fileIds @returns {Promise<(SealedRow | null)[]>} */
  async read(fileIds) {
    const rows = await keptAll(STORE, fileIds.map((fileId) => this.#key(fileId)));
    return fileIds.map((fileId, place) => {
      const held = this.#held.get(fileId);
      return held === undefined ? (rows[place] ?? null) : held;
    });
  }

  /** Keep a page of changes, unless another tab has kept more meanwhile. @param {ChangesPage} page */
  async take({ after, next, written, gone }) {
    if (!this.#full) {
      try {
        await changeIf(STORE, {
          guard: { key: this.#cursorKey(), value: after },
          put: [...written.map(([fileId, row]) => this.#pair(fileId, row)), [this.#cursorKey(), next]],
          remove: gone.map((fileId) => this.#key(fileId)),
        });
        return;
      } catch (error) {
        // What was kept so far stays right: its cursor says up to where.
        console.error(error instanceof Error ? error.name : "error");
        this.#full = true;
      }
    }
    for (const [fileId, row] of written) this.#held.set(fileId, row);
    for (const fileId of gone) this.#held.set(fileId, null);
  }

  /** Forget all of them. */
  async forget() {
    this.#held.clear();
    await forgetAll(STORE, `${this.#userId}/`);
  }

  #cursorKey() {
    return `${this.#userId}/cursor`;
  }

  #key(/** @type {string} */ fileId) {
    return `${this.#userId}/of/${fileId}`;
  }

  /** @param {string} fileId @param {SealedRow} row @returns {[string, SealedRow]} */
  #pair(fileId, row) {
    return [this.#key(fileId), row];
  }
}
