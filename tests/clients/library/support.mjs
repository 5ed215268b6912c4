// What the tests here share: the account of the vectors, its vault, and bytes that differ at every place.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

import { argon2id as argon2idOf } from "hash-wasm";

import { concat } from "../../../panzoto/console/library/bytes.js";
import { openVault } from "../../../panzoto/console/library/keys.js";

const VECTORS = new URL("../../vectors/", import.meta.url);

const parsed = (name) => JSON.parse(readFileSync(new URL(name, VECTORS), "utf8"));

export const ACCOUNT = parsed("vectors.json");
export const WORDS = parsed("transcripts.json");

export const vectorBytes = (name) => new Uint8Array(readFileSync(new URL(name, VECTORS)));

export const argon2id = (asked) => argon2idOf({ ...asked, outputType: "binary" });

export const vault = await openVault(ACCOUNT, ACCOUNT.password, argon2id);

export const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** Bytes that differ at every place, and differently for each size. */
export function plainOf(size) {
  const digest = createHash("shake256", { outputLength: size || 1 }).update(`${size} bytes`).digest();
  return new Uint8Array(digest.subarray(0, size));
}

/** A source that counts how often it is read, and what is the most that one read took. */
export function countedSource(bytes) {
  const source = {
    size: bytes.length,
    reads: [],
    read: async (start, stop) => {
      source.reads.push([start, stop]);
      return bytes.slice(start, stop);
    },
  };
  return source;
}

export async function whole(pieces) {
  const all = [];
  for await (const piece of pieces) all.push(piece);
  return concat(...all);
}
