// What pages and worker agree on. What follows one of these addresses is drawn at random and says nothing.

export const SOUND = "/console-sound/";
export const DOWNLOAD = "/console-download/";

/** What the service is told of who asks; playback addresses need nothing. @param {string} token @returns {Record<string, string>} */
export const authorization = (token) => (token === "" ? {} : { Authorization: `Bearer ${token}` });

/**
 * What a page gives for playing one recording: the keys are such as no script can read.
 *
 * @typedef {object} Grant
 * @property {string} s3Key
 * @property {string | null} contentType what was announced
 * @property {{ keyId: Uint8Array<ArrayBuffer>, wrappingKey: CryptoKey }} vault
 * @property {import("./objects.js").StoredObject} object
 */

/** Why something failed, as it can be posted to a page. @typedef {{ name: string, code: string, reason?: string }} Problem */

/**
 * What a page wants saved: a recording, or an answer of the service that needs its token, or none.
 *
 * @typedef {{ stem: string, grant: Grant } | { name: string, path: string, token: string, kind: string }} Wanted
 *   `stem`: a name whose ending the kind tells
 */
