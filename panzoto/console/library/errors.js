// What can go wrong, as classes that a caller tells apart. Messages are English sentences for a log or a
// terminal; a page finds its own words by `reason` or `code`. No message holds a key, a password or a text.

/** A recording that does not open. */
export class RecordingError extends Error {
  /**
   * @param {string} reason the stable word of docs/clients.md, section 3.4 or 4
   * @param {string} message
   */
  constructor(reason, message) {
    super(message);
    this.name = "RecordingError";
    this.reason = reason;
    /** What the service says to the same. @type {"unsupported_format" | "decryption_failed"} */
    this.code = ["suite", "flags", "reserved"].includes(reason) ? "unsupported_format" : "decryption_failed";
  }
}

/** A transcript, a title or a note that does not open. */
export class TranscriptError extends Error {
  /**
   * @param {"sealed" | "document" | "name"} reason as in docs/clients.md, sections 6.3 and 5.8
   * @param {string} message
   */
  constructor(reason, message) {
    super(message);
    this.name = "TranscriptError";
    this.reason = reason;
    /** What the service says to the same. @type {"decryption_failed"} */
    this.code = "decryption_failed";
  }
}

/**
 * @typedef {"password" | "no_vault" | "version" | "parameters" | "damaged" | "foreign" | "recovery_key"}
 *   AccountReason
 *
 * - `password`: it is not the vault's, or is missing
 * - `no_vault`: the account has none yet; its next login makes one
 * - `version`: a vault of a later kind
 * - `parameters`: Argon2id would be unreasonably dear or cheap
 * - `damaged`: the account's data contradicts itself
 * - `foreign`: the account seals transcripts to a key that is not its vault's
 * - `recovery_key`: what was typed is none
 */

/** The vault cannot be opened, or the account cannot be trusted. */
export class AccountError extends Error {
  /**
   * @param {AccountReason} reason
   * @param {string} message
   */
  constructor(reason, message) {
    super(message);
    this.name = "AccountError";
    this.reason = reason;
  }
}

/**
 * @typedef {object} ServiceErrorDetails
 * @property {number | null} [retryAfter] seconds to wait, where the answer says so
 * @property {string | null} [requestId] what to quote to support
 * @property {Record<string, any> | null} [fields] what is wrong with single fields
 * @property {Record<string, any> | null} [body] the whole of the answer, where it was a JSON object
 * @property {unknown} [cause]
 */

/** An answer other than success, or none. */
export class ServiceError extends Error {
  /**
   * @param {number} status of the answer; 0 where there was none
   * @param {string} code the service's stable word; `unreachable` without an answer, `unreadable` for one
   *   that is not the service's JSON
   * @param {string} message
   * @param {ServiceErrorDetails} [details]
   */
  constructor(status, code, message, details = {}) {
    super(message, { cause: details.cause });
    this.name = "ServiceError";
    this.status = status;
    this.code = code;
    this.retryAfter = details.retryAfter ?? null;
    this.requestId = details.requestId ?? null;
    this.fields = details.fields ?? null;
    this.body = details.body ?? null;
  }
}
