// What a recorder needs beside the shared library in panzoto/console/library, for Node 20.19 or newer and for
// browsers: the two libraries that are handed to it, an account with its password, and the way of earlier
// apps into the bucket. Every function names the section of docs/clients.md that it implements.

import { argon2id as argon2idOf } from "hash-wasm";
import * as hpke from "hpke";

import { random } from "../../panzoto/console/library/bytes.js";
import { AccountError, RecordingError } from "../../panzoto/console/library/errors.js";
import { isVersion2 } from "../../panzoto/console/library/header.js";
import { openVault } from "../../panzoto/console/library/keys.js";
import { RecordingReader } from "../../panzoto/console/library/recordings.js";
import { patientFetch } from "../../panzoto/console/library/service.js";
import { decryptSingle } from "../../panzoto/console/library/single-shot.js";

export { hpke };

/** hash-wasm's Argon2id as the library calls it. A page that must stay responsive runs it in a worker. */
export const argon2id = (asked) => argon2idOf({ ...asked, outputType: "binary" });

/** One account and its password; opens the vault once, when something first needs it. */
export class Keys {
  #vault = null;

  constructor(account, password) {
    this.account = account;
    this.password = password;
  }

  /** Rejects with an AccountError where the account names a public key that is not the vault's (section 2.3). */
  vault() {
    this.#vault ??= this.#open();
    return this.#vault;
  }

  async #open() {
    const vault = await openVault(this.account, this.password, argon2id);
    if (!vault.transcripts.foreign) return vault;
    throw new AccountError("foreign", "The account seals transcripts to a key that is not its vault's");
  }
}

/** Open a recording of either format; resolves to { format, plain }, plain an async iterable of the range. */
export async function decrypt(keys, s3Key, source, start = 0, stop = Infinity) {
  if (isVersion2(await source.read(0, Math.min(source.size, 4)))) {
    const reader = await RecordingReader.open(await keys.vault(), s3Key, source);
    return { format: "v2", plain: reader.read(start, stop) };
  }
  const object = await source.read(0, source.size);
  if (object.length !== source.size) throw new RecordingError("length", "The recording is cut off");
  const { format, plain } = await decryptSingle(keys.account, keys.password, object);
  return { format, plain: [plain.subarray(start, Math.min(stop, plain.length))] };
}

/** A fresh object key in the shape the phones use (section 5.6). */
export function newS3Key(userId) {
  const digits = String(new DataView(random(4).buffer).getUint32(0) % 10_000).padStart(4, "0");
  return `audio_upload/${userId}/audio_${userId.slice(0, 8)}_${Date.now()}_${digits}.3gp_encrypted`;
}

/** Put an encrypted recording into the bucket; the same bytes may be put again (section 5.6). */
export async function putObject(bucketUrl, s3Key, blob) {
  const path = s3Key.split("/").map(encodeURIComponent).join("/");
  const headers = { "Content-Type": "application/octet-stream" };
  const url = `${bucketUrl.replace(/\/+$/, "")}/${path}`;
  // Nobody knows how long the bytes take; a bucket that is busy may also say 500.
  const busy = ({ status }) => [0, 429, 500, 502, 503, 504].includes(status);
  const options = { patience: Infinity, repeatable: busy };
  const response = await patientFetch(url, () => ({ method: "PUT", headers, body: blob }), options);
  await response.arrayBuffer();
}
