// Recording from the microphone. What is spoken goes to the disk, sealed, about every five seconds, and is an upload
// from the beginning: whatever ends the recording, another tab or the next sign-in finds it.

import { somebodyIsHere } from "../session/idle.js";
import { account, beforeLock, session, vault } from "../session/session.js";
import { createStore } from "../store.js";
import { t } from "../texts/index.js";
import { askToKeep, DiskError, diskIsThere, removeAll } from "./disk.js";
import { watchLevel } from "./level.js";
import { newPieceKey, piecesSource, PieceWriter } from "./pieces.js";
import { add, lockName, look } from "./queue.js";
import { hide, removeRow, saveRow } from "./rows.js";

/** @import {Row} from "./rows.js" */

/**
 * @typedef {"idle" | "starting" | "recording" | "paused" | "saving"} Phase
 * @typedef {{
 *   phase: Phase, level: number | null, silent: boolean, muted: boolean, kept: boolean, problem: string,
 * }} Recorder `kept`: what was said is, or will be, on the disk. `problem`: what is wrong with the microphone
 */

/** @type {Recorder} */
const IDLE = { phase: "idle", level: 0, silent: false, muted: false, kept: true, problem: "" };
export const recorder = createStore(IDLE);

/** Recordings that this browser could neither keep nor send on, until the person has saved them, who alone is shown them. */
export const rescued = createStore({ files: /** @type {{ userId: string, file: Blob }[]} */ ([]) });

/** What the one who is signed in has to save. */
export function rescuedOfMine() {
  const mine = session.get().account?.user_id;
  return rescued.get().files.filter(({ userId }) => userId === mine).map(({ file }) => file);
}

/** The person has it. @param {Blob} saved */
export const rescuedIsSaved = (saved) =>
  rescued.set(({ files }) => ({ files: files.filter(({ file }) => file !== saved) }));

// Of these the first that the browser offers; `audio/mp4` without the codec may hold Opus, which Safari does not play.
const TYPES = ["audio/mp4;codecs=mp4a.40.2", "audio/webm;codecs=opus", "audio/ogg;codecs=opus"];
const BITS_PER_SECOND = 48_000;
const SLICE_MS = 1_000;
const KEPT_EVERY_MS = 5_000;

/** @type {Recording | null} */
let current = null;

/** One recording, from the microphone's permission to its end. */
class Recording {
  /** @type {Row} */
  row;
  #stream;
  #media;
  #writer;
  #pieceKey;
  #meter = /** @type {ReturnType<typeof watchLevel> | null} */ (null);
  #wakeLock = /** @type {WakeLockSentinel | null} */ (null);
  /** What the disk does not have yet, or will not take. @type {Blob[]} */
  #loose = [];
  #looseSince = 0;
  #keeping = Promise.resolve();
  /** Whether the disk takes what is said. */
  onDisk;
  /** Milliseconds before the last pause, and when it went on after it. */
  #before = 0;
  #since = 0;
  #timer = /** @type {ReturnType<typeof setInterval> | undefined} */ (undefined);
  /** @type {Promise<void> | null} */
  #ending = null;
  #closing = false;
  /** Resolves once the last of the sound was given. @type {Promise<void>} */
  #stopped = Promise.resolve();
  #release = () => {};

  /** @param {MediaStream} stream @param {Row} row @param {Uint8Array} pieceKey @param {boolean} onDisk */
  constructor(stream, row, pieceKey, onDisk) {
    this.row = row;
    this.#stream = stream;
    this.#pieceKey = pieceKey;
    this.onDisk = onDisk;
    this.#writer = new PieceWriter(row, pieceKey);
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    this.#media = new MediaRecorder(stream, { ...(mimeType && { mimeType }), audioBitsPerSecond: BITS_PER_SECOND });
  }

  /** Begin. Resolves once it records and its lock is held. */
  async begin() {
    await new Promise((resolve) => {
      navigator.locks.request(lockName(this.row.id), () => {
        resolve(undefined);
        return new Promise((release) => {
          this.#release = () => release(undefined);
        });
      });
    });
    this.row.contentType = this.#media.mimeType.split(";")[0] || null;
    if (this.onDisk) await saveRow(this.row).catch(() => this.#unkept());
    this.#media.ondataavailable = ({ data }) => this.#take(data);
    this.#media.onerror = () => this.#lost();
    const [track] = this.#stream.getAudioTracks();
    track.onended = () => this.#lost();
    track.onmute = () => this.#muted(true);
    track.onunmute = () => this.#muted(false);
    document.addEventListener("visibilitychange", this.#seen);
    /** @type {Promise<void>} */
    const stopped = new Promise((resolve) => {
      this.#media.onstop = () => {
        resolve();
        if (!this.#closing) this.#lost();
      };
    });
    this.#media.start(SLICE_MS);
    this.#stopped = stopped;
    this.#since = performance.now();
    this.#meter = watchLevel(this.#stream, (heard) => recorder.set(heard));
    this.#timer = setInterval(somebodyIsHere, SLICE_MS);
    this.#stayAwake();
  }

  /** Milliseconds recorded so far, pauses left out. */
  get elapsed() {
    return this.#before + (this.#media.state === "recording" ? performance.now() - this.#since : 0);
  }

  pause() {
    this.keepNow();
    this.#before = this.elapsed;
    this.#media.pause();
    this.#meter?.pause();
  }

  resume() {
    this.#media.resume();
    this.#since = performance.now();
    this.#meter?.resume();
  }

  /** What was recorded so far as a file, for who wants to save it elsewhere. */
  async file() {
    await this.keepNow();
    return this.#whole();
  }

  async #whole() {
    return new Blob([...(await this.#read()), ...this.#loose], { type: this.row.contentType ?? "" });
  }

  #unkept() {
    this.onDisk = false;
    recorder.set({ kept: false });
  }

  /** Write what the disk does not have yet. Resolves when it has it, or will not take it. */
  async keepNow() {
    if (this.#media.state !== "inactive") {
      const given = new Promise((resolve) => this.#media.addEventListener("dataavailable", resolve, { once: true }));
      this.#media.requestData();
      await given;
    }
    await this.#keep();
  }

  /** Stop and save. Resolves once it is an upload like any other. */
  stop() {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  /** Stop, and forget all of it. */
  async discard() {
    await this.#close();
    await this.#keeping;
    await removeRow(this.row);
    await removeAll(this.row);
    this.#release();
  }

  /** @param {Blob} data */
  #take(data) {
    if (data.size === 0) return;
    if (this.#loose.length === 0) this.#looseSince = performance.now();
    this.#loose.push(data);
    // The first second is kept at once: without the file's beginning nothing that follows can be read.
    const first = this.row.durationMs === null;
    if (first || performance.now() - this.#looseSince >= KEPT_EVERY_MS) this.#keep();
    this.row.durationMs = Math.round(this.elapsed);
  }

  #keep() {
    this.#keeping = this.#keeping.then(async () => {
      if (!this.onDisk || this.#loose.length === 0) return;
      const pieces = this.#loose.slice();
      try {
        await this.#writer.write(new Blob(pieces));
        this.#loose.splice(0, pieces.length);
      } catch (error) {
        // It goes on in memory; what is on the disk already stays there.
        if (!(error instanceof DiskError)) console.error(error instanceof Error ? error.name : "error");
        this.#unkept();
      }
    });
    return this.#keeping;
  }

  async #end() {
    const lasted = Math.round(this.elapsed);
    recorder.set({ phase: "saving" });
    await this.#close();
    await this.#keep();
    this.row.durationMs = lasted;
    this.row.state = "ready";
    await (this.onDisk ? add(this.row, null) : this.#addWhole()).catch(() => this.#rescue());
    this.#release();
    await look(this.row.id);
  }

  /** What the disk did not take as a whole is uploaded from memory. What it took stays there in case this tab dies. */
  async #addWhole() {
    await add({ ...this.row, where: "file" }, await this.#whole());
  }

  /**
   * Not even that it is to be uploaded can be kept, or the disk gives nothing back: then the person is to have it, or
   * what the disk does not have. What it has is an upload as soon as it gives it back.
   */
  async #rescue() {
    const file = await this.#whole().catch(() => new Blob(this.#loose, { type: this.row.contentType ?? "" }));
    if (file.size > 0) rescued.set(({ files }) => ({ files: [...files, { userId: this.row.userId, file }] }));
  }

  /** What is on the disk. @returns {Promise<Uint8Array<ArrayBuffer>[]>} */
  async #read() {
    if (this.#writer.written === 0) return [];
    try {
      const source = await piecesSource(this.row, this.#pieceKey);
      return [/** @type {Uint8Array<ArrayBuffer>} */ (await source.read(0, source.size))];
    } catch (error) {
      // The browser has cleared it. What merely cannot be read now is not left out: the rest has no beginning.
      if (error instanceof DiskError && error.isGone) return [];
      throw error;
    }
  }

  async #close() {
    this.#closing = true;
    document.removeEventListener("visibilitychange", this.#seen);
    clearInterval(this.#timer);
    this.#meter?.close();
    if (this.#media.state !== "inactive") this.#media.stop();
    await this.#stopped;
    for (const track of this.#stream.getTracks()) {
      track.onended = null;
      track.stop();
    }
    await this.#wakeLock?.release().catch(() => {});
  }

  /** The microphone has ended: unplugged, taken by a call, or forbidden. */
  async #lost() {
    if (current === this) await stopAndSave();
    recorder.set({ problem: t("recorder.lost") });
  }

  /** @param {boolean} muted */
  async #muted(muted) {
    recorder.set({ muted });
    if (muted) await this.keepNow();
  }

  #seen = () => {
    // A page that is hidden may be ended without a word, on a phone above all.
    if (document.visibilityState === "hidden") this.keepNow();
    else this.#stayAwake();
  };

  async #stayAwake() {
    // Where it is refused, as on a low battery, the screen may go dark, and nothing is lost by it.
    this.#wakeLock = (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null;
  }
}

// ---- What the dialog does ------------------------------------------------------------------------------------

// Which attempt to begin counts: one that was given up may get its microphone later.
let attempts = 0;

/** Begin to record; what keeps it from that is told in the dialog. */
export async function start() {
  if (recorder.get().phase !== "idle") return;
  const attempt = ++attempts;
  recorder.set({ ...IDLE, phase: "starting" });
  let stream = /** @type {MediaStream | null} */ (null);
  try {
    askToKeep();
    stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
    const made = await recordingFrom(stream);
    if (attempt !== attempts) return release(stream);
    current = made;
    await made.begin();
    if (attempt !== attempts) {
      current = null;
      return made.discard();
    }
    recorder.set({ phase: "recording", kept: made.onDisk });
  } catch (error) {
    await current?.discard().catch(() => {});
    release(stream);
    if (attempt !== attempts) return;
    current = null;
    recorder.set({ ...IDLE, problem: problemOf(error) });
  }
}

/** Give up beginning, while the browser still asks for the microphone. */
export function giveUpStarting() {
  if (recorder.get().phase !== "starting") return;
  attempts += 1;
  recorder.set(IDLE);
}

/** @param {MediaStream} stream */
async function recordingFrom(stream) {
  const onDisk = await diskIsThere();
  const place = { userId: account().user_id, id: crypto.randomUUID() };
  const pieceKey = newPieceKey();
  const hidden = await hide(vault(), place, { title: null, pieceKey, secrets: null, fingerprint: null });
  return new Recording(stream, rowFor(place, hidden), pieceKey, onDisk);
}

/** @param {MediaStream | null} stream */
const release = (stream) => stream?.getTracks().forEach((track) => track.stop());

/** @param {{ userId: string, id: string }} place @param {Row["hidden"]} hidden @returns {Row} */
const rowFor = (place, hidden) => ({
  ...place,
  addedAt: Date.now(),
  spoken: true,
  state: "recording",
  where: "pieces",
  paused: false,
  plainSize: null,
  contentType: null,
  recordedAt: new Date().toISOString(),
  durationMs: null,
  fileId: null,
  s3Key: null,
  sealedTitle: null,
  hidden,
});

/** @param {unknown} error */
function problemOf(error) {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return t("recorder.notAllowed");
  if (name === "NotFoundError" || name === "OverconstrainedError") return t("recorder.noMicrophone");
  if (name === "NotReadableError") return t("recorder.microphoneBusy");
  console.error(name || "error");
  return t("recorder.failed");
}

export function pause() {
  if (recorder.get().phase !== "recording") return;
  current?.pause();
  recorder.set({ phase: "paused" });
}

export function resume() {
  if (recorder.get().phase !== "paused") return;
  current?.resume();
  recorder.set({ phase: "recording" });
}

/** Stop and save, where something records; resolves once it is safe. */
export async function stopAndSave() {
  if (current === null) return;
  const ended = current;
  try {
    await ended.stop();
    recorder.set(IDLE);
  } catch (error) {
    recorder.set(IDLE);
    throw error;
  } finally {
    if (current === ended) current = null;
  }
}

/** Stop, and forget what was recorded. */
export async function discard() {
  const ended = current;
  current = null;
  await ended?.discard();
  recorder.set(IDLE);
}

/** Milliseconds recorded so far. */
export const elapsed = () => current?.elapsed ?? 0;

/** What was recorded so far, as a file of the person's own. @returns {Promise<Blob | null>} */
export const recordedSoFar = async () => (await current?.file()) ?? null;

beforeLock(() => {
  giveUpStarting();
  return stopAndSave();
});
