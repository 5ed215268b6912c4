// What is known of an account's recordings. No page and no call: pages of lists and changes go in, a list
// comes out.

/**
 * A recording as the service describes it (docs/clients.md, 5.7).
 *
 * @typedef {object} AudioFile
 * @property {string} file_id
 * @property {string} user_id
 * @property {string} s3_key
 * @property {number | null} file_size bytes of the object
 * @property {string | null} uploaded_at
 * @property {string} status
 * @property {string | null} format
 * @property {string | null} recorded_at
 * @property {number | null} duration_ms
 * @property {string | null} content_type
 * @property {string | null} title sealed, base64
 * @property {string | null} note sealed, base64
 * @property {string | null} deleted_at
 * @property {TranscriptState | null} transcript
 *
 * @typedef {object} TranscriptState
 * @property {string} status
 * @property {string | null} transcription_id
 * @property {string | null} revision
 * @property {string | null} language
 * @property {string | null} created_at
 * @property {string | null} source
 *
 * @typedef {AudioFile & { at: number }} Recording `at`: by what it is listed, in milliseconds since 1970
 * @typedef {{ type: string, file_id: string, audio_file: AudioFile | null }} Change
 */

/**
 * When a recording was made, or arrived where nobody said.
 *
 * @param {Pick<AudioFile, "recorded_at" | "uploaded_at">} file
 */
export const momentOf = ({ recorded_at, uploaded_at }) =>
  recorded_at ?? uploaded_at ?? new Date(0).toISOString();

/** @param {AudioFile} file @returns {Recording} */
export const recordingFrom = (file) => ({ ...file, at: Date.parse(momentOf(file)) });

/** The newest first; of one moment in an order that stays. @param {Recording} a @param {Recording} b */
const newestFirst = (a, b) => b.at - a.at || (a.file_id < b.file_id ? 1 : -1);

/**
 * Recordings by their ids. Pages of the list come from the newest on, changes in the order in which they were
 * made. Until all changes have come, only what is no older than the last page is listed, since older ones may be
 * missing.
 */
export class Known {
  /** @type {Map<string, Recording>} */
  #recordings = new Map();
  /**
   * What changes have taken away, which a page that was asked for before may hold still.
   *
   * @type {Set<string>}
   */
  #gone = new Set();
  #horizon = Infinity;

  /** Whether every recording of the account is known. */
  get whole() {
    return this.#horizon === -Infinity;
  }

  /** Whether a page of the list has come, so that there is something to show. */
  get begun() {
    return this.#horizon !== Infinity;
  }

  /** @param {string} fileId */
  get(fileId) {
    return this.#recordings.get(fileId) ?? null;
  }

  /**
   * Take a page of the list in. What a change has told already is newer.
   *
   * @param {AudioFile[]} files
   * @param {boolean} last
   */
  takePage(files, last) {
    if (this.whole) return;
    for (const file of files) {
      if (this.#gone.has(file.file_id) || this.#recordings.has(file.file_id)) continue;
      this.#recordings.set(file.file_id, recordingFrom(file));
    }
    const oldest = files.at(-1);
    if (last) this.#complete();
    else if (oldest) this.#horizon = Math.min(this.#horizon, recordingFrom(oldest).at);
  }

  /** Take changes in; `last` when there are no more. @param {Change[]} changes @param {boolean} last */
  takeChanges(changes, last) {
    for (const { type, file_id, audio_file } of changes) {
      if (type === "upsert" && audio_file !== null) this.put(audio_file);
      else this.remove(file_id);
    }
    if (last) this.#complete();
  }

  /** Take a recording in as it is now. @param {AudioFile} file */
  put(file) {
    this.#gone.delete(file.file_id);
    this.#recordings.set(file.file_id, recordingFrom(file));
  }

  /** @param {string} fileId */
  remove(fileId) {
    this.#recordings.delete(fileId);
    if (!this.whole) this.#gone.add(fileId);
  }

  /** All that can be shown without a gap, the newest first. @returns {Recording[]} */
  listed() {
    const all = [...this.#recordings.values()];
    return (this.whole ? all : all.filter(({ at }) => at >= this.#horizon)).sort(newestFirst);
  }

  #complete() {
    this.#horizon = -Infinity;
    this.#gone.clear();
  }
}
