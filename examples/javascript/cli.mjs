#!/usr/bin/env node
// The command line of the library in panzoto/console/library, for Node 20.19 or newer:
//
//   node cli.mjs encrypt --account me.json --s3-key KEY talk.3gp talk.encrypted
//   node cli.mjs decrypt --account me.json --s3-key KEY [--range FIRST-LAST] talk.encrypted talk.3gp
//   node cli.mjs encrypt-single --account me.json [--format FORMAT] talk.3gp talk.encrypted
//   node cli.mjs seal-transcript|open-transcript --account me.json --file-id ID IN OUT
//   node cli.mjs seal-title|open-title|seal-note|open-note --account me.json --file-id ID IN OUT
//   node cli.mjs file-key --account me.json talk.encrypted talk.key
//   node cli.mjs batch --account me.json MANIFEST
//
// me.json is what register or login returned. The password comes from --password-file (its first
// line), from PANZOTO_PASSWORD or from a prompt, never from the arguments, which others can see.

import { open, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { randomUUID } from "node:crypto";
import { Writable } from "node:stream";
import { parseArgs } from "node:util";

import { AccountError, RecordingError, TranscriptError } from "../../panzoto/console/library/errors.js";
import { openName, sealName } from "../../panzoto/console/library/names.js";
import { encryptRecording, fileKeyOf } from "../../panzoto/console/library/recordings.js";
import { encryptSingle, SINGLE_SHOT_FORMATS } from "../../panzoto/console/library/single-shot.js";
import { openTranscript, sealTranscript } from "../../panzoto/console/library/transcripts.js";
import { decrypt, hpke, Keys } from "./recorder.mjs";

class UsageError extends Error {}

/** A source over an open file: any part of it, without holding the rest. */
async function fileSource(handle) {
  const { size } = await handle.stat();
  return {
    size,
    read: async (start, stop) => {
      const bytes = new Uint8Array(Math.max(0, Math.min(stop, size) - start));
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, start + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return bytes.subarray(0, filled);
    },
  };
}

/** Write a file that appears under its name only when it is complete, readable by its owner only. */
async function writeWhole(path, pieces) {
  const draft = join(dirname(path), `.${basename(path)}.${randomUUID()}`);
  const handle = await open(draft, "wx", 0o600);
  try {
    for await (const piece of pieces) await handle.writeFile(piece);
    await handle.close();
    await rename(draft, path);
  } catch (error) {
    await handle.close().catch(() => {});
    await rm(draft, { force: true });
    throw error;
  }
}

/** `first-last`, both included as in HTTP, or `first-`; returns start and stop (not included). */
function parseRange(text) {
  if (!text) return [0, Infinity];
  const match = /^(\d+)-(\d*)$/.exec(text) ?? [];
  const [start, stop] = [Number(match[1]), match[2] === "" ? Infinity : Number(match[2]) + 1];
  if (!(start < stop)) throw new UsageError("A range is written first-last, such as 0-65535, or first-");
  return [start, stop];
}

/** What register or login returned. */
async function readAccount(path) {
  const text = await readFile(path, "utf8");
  try {
    const account = JSON.parse(text);
    if (typeof account.user_id === "string" && typeof account.key_salt === "string") return account;
  } catch {
    // Told below, like an account without its fields.
  }
  throw new UsageError(`${path} does not hold what register or login returned; log in anew`);
}

async function readPassword(passwordFile) {
  if (passwordFile) return (await readFile(passwordFile, "utf8")).split(/\r?\n/)[0];
  return process.env.PANZOTO_PASSWORD || prompt("Password: ");
}

/** Ask on the terminal, showing nothing of what is typed. */
function prompt(question) {
  process.stderr.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: silent, terminal: true });
  return new Promise((resolve) => {
    lines.on("close", () => {
      process.stderr.write("\n");
      resolve("");
    });
    lines.question("", (answer) => {
      resolve(answer);
      lines.close();
    });
  });
}

/** What the command line does with transcripts, titles and notes: bytes in, bytes out. */
const OF_WORDS = {
  "seal-transcript": async (keys, fileId, bytes) =>
    sealTranscript(hpke, await keys.vault(), keys.account.user_id, fileId, bytes),
  "open-transcript": async (keys, fileId, bytes) =>
    openTranscript(hpke, await keys.vault(), keys.account.user_id, fileId, bytes),
};
for (const what of ["title", "note"]) {
  for (const [deed, run] of [
    ["seal", sealName],
    ["open", openName],
  ]) {
    OF_WORDS[`${deed}-${what}`] = async (keys, fileId, bytes) =>
      Buffer.from(await run(await keys.vault(), what, fileId, Buffer.from(bytes).toString("utf8")));
  }
}

/** One job: verb, object key or variant, input, output and perhaps a range; resolves to the format. */
async function runJob(keys, [verb, second, input, output, range]) {
  const handle = await open(input, "r");
  try {
    const source = await fileSource(handle);
    if (verb === "encrypt") {
      await writeWhole(output, encryptRecording(await keys.vault(), second, source));
      return "v2";
    }
    if (verb === "encrypt-single") {
      if (!(second in SINGLE_SHOT_FORMATS)) throw new UsageError(`There is no format ${second}`);
      const plain = await source.read(0, source.size);
      await writeWhole(output, [await encryptSingle(keys.account, keys.password, plain, second)]);
      return second;
    }
    if (verb in OF_WORDS) {
      await writeWhole(output, [await OF_WORDS[verb](keys, second, await source.read(0, source.size))]);
      return verb.split("-")[1];
    }
    if (verb === "file-key") {
      const fileKey = await fileKeyOf(await keys.vault(), source);
      await writeWhole(output, [Buffer.from(fileKey).toString("base64")]);
      return verb;
    }
    if (verb !== "decrypt") throw new UsageError(`There is no verb ${verb}`);
    const { format, plain } = await decrypt(keys, second, source, ...parseRange(range));
    await writeWhole(output, plain);
    return format;
  } finally {
    await handle.close();
  }
}

/** Run the jobs of a manifest, one line each, words separated by tabs; one line of result for each. */
async function runBatch(keys, manifest) {
  for (const line of (await readFile(manifest, "utf8")).split("\n")) {
    if (line === "") continue;
    const words = line.split("\t");
    try {
      console.log(`ok\t${words[3]}\t${await runJob(keys, words)}`);
    } catch (error) {
      if (!(error instanceof RecordingError || error instanceof TranscriptError)) throw error;
      console.log(`refused\t${words[3]}\t${error.reason}`);
    }
  }
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      account: { type: "string" },
      "password-file": { type: "string" },
      "s3-key": { type: "string" },
      "file-id": { type: "string" },
      format: { type: "string", default: "single-iv12-raw-salt" },
      range: { type: "string" },
    },
  });
  const [verb, first, second] = positionals;
  const ofWords = verb in OF_WORDS;
  const files = ofWords ? 2 : { encrypt: 2, decrypt: 2, "encrypt-single": 2, "file-key": 2, batch: 1 }[verb];
  if (files === undefined || positionals.length !== files + 1 || !values.account) {
    throw new UsageError("usage: cli.mjs encrypt|decrypt|batch|... --account FILE ..., see its first lines");
  }
  const needsKey = verb === "encrypt" || verb === "decrypt";
  if (needsKey && !values["s3-key"]) throw new UsageError(`${verb} needs --s3-key`);
  if (ofWords && !values["file-id"]) throw new UsageError(`${verb} needs --file-id`);
  const account = await readAccount(values.account);
  const keys = new Keys(account, await readPassword(values["password-file"]));
  if (verb === "batch") return runBatch(keys, first);
  const name = needsKey ? values["s3-key"] : ofWords ? values["file-id"] : values.format;
  console.log(`${await runJob(keys, [verb, name, first, second, values.range])}\t${second}`);
}

try {
  await main();
} catch (error) {
  // What has a code is one of ours or the system's, such as a missing file; all else is a fault in here.
  const expected = error instanceof AccountError || error instanceof UsageError || "code" in error;
  if (!expected) throw error;
  console.error(`panzoto: ${error.message}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
