// Playing a recording, or a sitting clip after clip, through one `<audio>`: what is drawn of it is in player.js.

import { announce, tellBeside } from "../parts/messages.js";
import { openedName, titleOf } from "../recordings/titles.js";
import { somebodyIsHere } from "../session/idle.js";
import { createStore } from "../store.js";
import { list } from "../texts/formats.js";
import { t } from "../texts/index.js";
import { current, leave, leftAt } from "./current.js";
import { measuredLength, saidLength } from "./lengths.js";
import { Opening } from "./opening.js";
import { isOfOne, whyUnplayable, wordsFor } from "./problems.js";
import { soundSettings } from "./settings.js";
import { freshRow, opensWithVault } from "./sounds.js";
import { clipAt, isMeasured, placeOf, positionOf, secondsOf, startOf, trackOf, tracksOf, wholeLength } from "./timeline.js";

/** @typedef {import("./sounds.js").Recording} Recording */
/** @typedef {import("./sounds.js").Sound} Sound */
/** @typedef {import("./timeline.js").Track} Track */

/**
 * `position` and `length` in seconds of the whole; `playing` is what the person wants, `waiting` that it does not
 * sound yet; `notice` is what to know before it plays; `lost` that it waits for the network; `refused` that the browser wants a press of Play; `address` is
 * that of the sound at hand.
 *
 * @typedef {{
 *   position: number, length: number, measured: boolean, playing: boolean, waiting: boolean,
 *   notice: "service" | "converted" | "tried" | "sealed" | null, lost: boolean, refused: boolean,
 *   address: string | null,
 * }} State
 */

const TICK_MS = 100;
// How long before its end the next clip is opened, and how long to wait between looks at a dead network.
const AHEAD_SECONDS = 15;
const RETRY_MS = 4_000;
// How long it may stand where the browser has nothing more to load.
const STANDING_MS = 5_000;
// Who left a recording this close to its end has heard it: it begins anew.
const NEAR_END_SECONDS = 1;

/** What Firefox says where a device has nothing to play with. */
const NO_OUTPUT = /AudioError/i;

export class Playback {
  /** @type {import("../store.js").Store<State>} */
  state = createStore(
    /** @type {State} */ ({
      position: 0, length: 0, measured: false, playing: false, waiting: true, notice: null, lost: false, refused: false,
      address: null,
    }),
  );
  #audio;
  #clips;
  /** @type {Track[]} */
  #tracks;
  /** Where it is, or would go on: a track and seconds within it. */
  #at = { index: 0, seconds: 0 };
  /** @type {Sound | null} */
  #sound = null;
  #opening = new Opening((notice) => this.state.set({ notice }));
  /** Recordings whose row was fetched anew after a failure, so that this happens once. @type {Set<string>} */
  #renewed = new Set();
  /** Counts what was begun, so that what comes late is let be. */
  #turn = 0;
  #loading = false;
  /** Whether the element was sent to where its sound shall begin. */
  #sent = false;
  #closed = false;
  /** Whether the worker has lost the network, which counts once what had arrived before is played. */
  #lost = false;
  /** For how many milliseconds of playing it has waited for sound that the browser does not load. */
  #standing = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  #ending = new AbortController();

  /** @param {Recording[]} clips the oldest first @param {HTMLAudioElement} audio */
  constructor(clips, audio) {
    this.#clips = clips;
    this.#audio = audio;
    this.#tracks = tracksOf(clips, clips.map(({ format }) => format !== null && format !== "v2"));
    this.#listen();
    this.#show();
  }

  /** The recordings whose sound this is. */
  get clips() {
    return this.#clips;
  }

  get tracks() {
    return this.#tracks;
  }

  /** @param {string} fileId */
  has(fileId) {
    return this.#clips.some((clip) => clip.file_id === fileId);
  }

  /** Look at what there is, and make it ready. @param {{ fileId: string, seconds: number } | null} jump plays from there */
  async begin(jump) {
    const turn = ++this.#turn;
    this.#loading = true;
    if (jump !== null) this.state.set({ playing: true });
    const wanted = jump ? positionOf(this.#tracks, jump.fileId, jump.seconds) : this.#left();
    this.#at = placeOf(this.#tracks, wanted ?? 0);
    this.#show();
    try {
      const sealed = await this.#sealed();
      if (turn !== this.#turn) return;
      await this.#rebuild(sealed);
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#loading = false;
      return this.#recover(error);
    }
    this.#measure();
  }

  /** Which clips want the password. One of a sitting that is lost wants nothing, and is told when its turn comes. */
  #sealed() {
    const opens = async (/** @type {Recording} */ clip) => {
      try {
        return await opensWithVault(clip);
      } catch (error) {
        if (this.#clips.length === 1 || !isOfOne(error)) throw error;
        return true;
      }
    };
    return Promise.all(this.#clips.map(async (clip) => !(await opens(clip))));
  }

  /** Where it was left, unless it was heard to its end. */
  #left() {
    const position = leftAt(this.#key());
    const length = wholeLength(this.#tracks);
    return length > 0 && position > length - NEAR_END_SECONDS ? 0 : position;
  }

  #key() {
    return this.#clips.length === 1 ? this.#clips[0].file_id : `${this.#clips[0].file_id}/${this.#clips.length}`;
  }

  /** Take rows that have changed. @param {Recording[]} clips the same recordings, as they are by now */
  update(clips) {
    const before = new Map(this.#clips.map((clip) => [clip.file_id, clip]));
    this.#clips = clips;
    const moved = clips.some(({ file_id, s3_key }) => before.get(file_id)?.s3_key !== s3_key);
    if (moved) this.#rebuild(clips.map(({ format }) => format !== null && format !== "v2"));
  }

  /** Make the tracks anew and go on where it was. @param {boolean[]} sealed */
  #rebuild(sealed) {
    const position = this.#position();
    const before = new Map(this.#tracks.map((track) => [track.clips[0].file_id, track]));
    this.#tracks = tracksOf(this.#clips, sealed);
    for (const track of this.#tracks) {
      const [clip] = track.clips;
      const known = before.get(clip.file_id);
      if (track.clips.length > 1 || known === undefined) continue;
      track.seconds = known.seconds;
      track.lost = known.lost && known.clips[0].s3_key === clip.s3_key;
    }
    this.#at = placeOf(this.#tracks, position);
    return this.#load();
  }

  // ---- What a person does -----------------------------------------------------------------------------------

  toggle() {
    if (this.state.get().playing) this.pause();
    else this.play();
  }

  play() {
    this.state.set({ playing: true, refused: false });
    if (this.#loading) return;
    const { position, length } = this.state.get();
    if ((length > 0 && position >= length) || this.#tracks[this.#at.index].lost) this.#beginAnew();
    else if (this.#sound !== null && this.#audio.error === null) return this.#sounding();
    this.#load();
  }

  /** Go to the beginning. Where all is lost it is tried once more, since that is what the person wants. */
  #beginAnew() {
    if (this.#tracks.every(({ lost }) => lost)) this.#tracks.forEach((track) => (track.lost = false));
    this.#at = placeOf(this.#tracks, 0);
  }

  pause() {
    clearTimeout(this.#retry);
    this.#audio.pause();
    this.state.set({ playing: false, lost: false, waiting: this.#loading });
    this.#tell();
  }

  /** @param {number} seconds forwards, or backwards */
  step(seconds) {
    this.seek(this.state.get().position + seconds);
  }

  /** @param {number} position in seconds of the whole */
  seek(position) {
    const length = wholeLength(this.#tracks);
    const place = placeOf(this.#tracks, Math.max(0, length > 0 ? Math.min(position, length) : position));
    const here = place.index === this.#at.index;
    this.#at = place;
    if (here && this.#sound !== null && this.#audio.error === null) {
      if (this.#audio.readyState > 0) this.#audio.currentTime = place.seconds;
    } else if (!here || !this.#loading) {
      this.#load();
    }
    this.#tell();
  }

  /** @param {string} fileId @param {number} seconds within that recording */
  playAt(fileId, seconds) {
    // Whoever wants this very clip has it tried once more.
    for (const track of this.#tracks) track.lost &&= !track.clips.some((clip) => clip.file_id === fileId);
    const position = positionOf(this.#tracks, fileId, seconds);
    if (position === null) return;
    this.state.set({ playing: true, refused: false });
    this.seek(position);
    if (!this.#loading && this.#sound !== null) this.#sounding();
  }

  /** Be silent, and forget the sound. */
  close() {
    this.#tell();
    this.#closed = true;
    this.#turn++;
    clearTimeout(this.#retry);
    this.#ending.abort();
    this.#silence();
    this.#opening.close();
    current.set({ fileId: null, seconds: 0, playing: false, duration: null });
  }

  // ---- Loading ----------------------------------------------------------------------------------------------

  #silence() {
    this.#audio.pause();
    if (this.#audio.hasAttribute("src")) {
      this.#audio.removeAttribute("src");
      this.#audio.load();
    }
    this.#sound?.close();
    this.#sound = null;
    this.#sent = false;
    this.state.set({ address: null });
  }

  /** Load the track at hand; it plays as soon as it can, if that is wanted. @returns {Promise<void>} */
  async #load() {
    const turn = ++this.#turn;
    const track = this.#tracks[this.#at.index];
    clearTimeout(this.#retry);
    this.#silence();
    this.#loading = true;
    this.state.set({ waiting: true });
    try {
      const opened = await this.#opening.open(track, () => this.state.get().playing);
      if (turn !== this.#turn) return letGo(opened);
      this.#loading = false;
      if (opened === null) return this.#rest();
      if ("upgraded" in opened) return await this.#upgrade(opened.upgraded);
      if (opened.sounds.length > 1) return await this.#split(track, opened.sounds);
      await this.#take(opened.sounds[0]);
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#loading = false;
      await this.#recover(error);
    }
  }

  /** @param {Sound} sound */
  async #take(sound) {
    this.#sound = sound;
    sound.watch((problem) => this.#warned(problem));
    this.state.set({ address: sound.address });
    this.#audio.src = sound.address;
    this.#set();
    if (this.state.get().playing) await this.#sounding();
  }

  /** Speed and volume as they are set. */
  #set() {
    const { speed, volume } = soundSettings.get();
    // The default too, which is what each new sound begins with.
    this.#audio.defaultPlaybackRate = speed;
    this.#audio.playbackRate = speed;
    this.#audio.volume = volume;
  }

  /** Nothing is loaded until the person presses Play. */
  #rest() {
    this.state.set({ waiting: false, playing: false });
    this.#tell();
  }

  /** @param {Map<string, Recording>} rows */
  async #upgrade(rows) {
    this.#clips = this.#clips.map((clip) => rows.get(clip.file_id) ?? clip);
    await this.#rebuild(await this.#sealed());
  }

  /** What the service would not join plays clip by clip. @param {Track} track @param {Sound[]} sounds @returns {Promise<void>} */
  #split(track, sounds) {
    const position = this.#position();
    const parts = track.clips.map((clip) => trackOf(clip, true));
    this.#tracks.splice(this.#tracks.indexOf(track), 1, ...parts);
    parts.forEach((part, index) => this.#opening.keep(part, sounds[index]));
    this.#at = placeOf(this.#tracks, position);
    return this.#load();
  }

  async #sounding() {
    try {
      await this.#audio.play();
    } catch (error) {
      // An interrupted play was interrupted by us; what cannot be played says so by an event.
      if (/** @type {Error} */ (error).name !== "NotAllowedError") return;
      this.state.set({ playing: false, refused: true, waiting: false });
      announce(t("player.refused"));
    }
  }

  // ---- What the element tells -------------------------------------------------------------------------------

  #listen() {
    const on = (/** @type {string} */ name, /** @type {() => void} */ heard) =>
      this.#audio.addEventListener(name, () => this.#sound !== null && heard(), { signal: this.#ending.signal });
    on("loadedmetadata", () => this.#arrived());
    on("durationchange", () => this.#measured());
    on("playing", () => {
      this.state.set({ waiting: false });
      this.#renewed.clear();
      this.#found();
    });
    on("canplay", () => this.state.set({ waiting: false }));
    on("waiting", () => {
      this.state.set({ waiting: true });
      this.#tellLoss();
    });
    on("seeked", () => this.#follow());
    on("timeupdate", () => this.#follow());
    on("ended", () => this.#next());
    on("error", () => this.#broken());
    // By the browser itself: a headphone was pulled, or a key of the keyboard pressed.
    on("pause", () => !this.#audio.ended && !this.#loading && this.state.set({ playing: false }));
    on("play", () => this.state.set({ playing: true }));
    const ticking = setInterval(() => this.state.get().playing && this.#tick(), TICK_MS);
    this.#ending.signal.addEventListener("abort", () => clearInterval(ticking));
    this.#ending.signal.addEventListener("abort", soundSettings.subscribe(() => this.#set()));
    const plugged = () => (this.#audio.muted = false);
    navigator.mediaDevices?.addEventListener("devicechange", plugged, { signal: this.#ending.signal });
    addEventListener("online", () => this.#goOn(), { signal: this.#ending.signal });
  }

  /** The element knows the sound by now, and is sent to where it shall begin. */
  #arrived() {
    this.#measured();
    if (this.#at.seconds > 0) this.#audio.currentTime = this.#at.seconds;
    this.#sent = true;
  }

  #measured() {
    const { duration } = this.#audio;
    if (Number.isFinite(duration)) this.#tracks[this.#at.index].seconds = duration;
    this.#show();
  }

  #tick() {
    this.#follow();
    this.#standing = this.#stands() ? this.#standing + TICK_MS : 0;
    if (this.#standing < STANDING_MS) return;
    // Chromium, sent to and fro, once in a long while goes on by nothing but being sent somewhere again.
    this.#standing = 0;
    this.#audio.currentTime = this.#audio.currentTime;
  }

  /** Whether it waits for sound while the browser loads none. */
  #stands() {
    const { paused, seeking, error, readyState, networkState } = this.#audio;
    const waits = this.#sound !== null && !paused && !seeking && error === null;
    return waits && readyState < HTMLMediaElement.HAVE_FUTURE_DATA && networkState === HTMLMediaElement.NETWORK_IDLE;
  }

  /** Take the place from the element, unless it is on its way there, or has failed on its way. */
  #follow() {
    if (this.#sound === null || !this.#sent || this.#audio.seeking || this.#audio.error !== null) return;
    this.#at.seconds = this.#audio.currentTime;
    if (this.state.get().playing) somebodyIsHere();
    const left = secondsOf(this.#tracks[this.#at.index]) - this.#at.seconds;
    const next = this.#tracks[this.#nextIndex()];
    if (this.state.get().playing && left < AHEAD_SECONDS && next !== undefined) this.#opening.openAhead(next);
    this.#tell();
  }

  /** The next track that may be played; -1 where there is none. */
  #nextIndex() {
    return this.#tracks.findIndex(({ lost }, index) => index > this.#at.index && !lost);
  }

  #next() {
    const next = this.#nextIndex();
    if (next >= 0) {
      this.#at = { index: next, seconds: 0 };
      this.#load();
    } else {
      this.#at.seconds = secondsOf(this.#tracks[this.#at.index]);
      this.state.set({ playing: false, waiting: false });
    }
    this.#tell();
  }

  #position() {
    return startOf(this.#tracks, this.#at.index) + this.#at.seconds;
  }

  #show() {
    const length = wholeLength(this.#tracks);
    this.state.set({ length, measured: isMeasured(this.#tracks), position: this.#position() });
  }

  /** Tell everybody where it is. */
  #tell() {
    if (this.#closed) return;
    const track = this.#tracks[this.#at.index];
    const { clip, seconds } = clipAt(track, this.#at.seconds);
    const { playing } = this.state.get();
    const duration = track.clips.length === 1 && track.seconds !== null ? track.seconds : saidLength(clip);
    leave(this.#key(), this.#position());
    this.#show();
    current.set({ fileId: clip.file_id, seconds, playing, duration });
  }

  // ---- What goes wrong --------------------------------------------------------------------------------------

  /** The worker has failed, and the browser does not know yet, or tries again. @param {Error} problem */
  #warned(problem) {
    if (/** @type {any} */ (problem).code !== "unreachable") return this.#recover(problem);
    this.#lost = true;
    if (this.#audio.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) this.#tellLoss();
  }

  /** Tell of a lost network once what had arrived before is played. */
  #tellLoss() {
    const { playing, lost } = this.state.get();
    if (!this.#lost || lost || !playing) return;
    this.state.set({ lost: true });
    announce(t("player.waitsForNetwork"));
  }

  /** It sounds again. */
  #found() {
    if (this.state.get().lost) announce("");
    this.#lost = false;
    this.state.set({ lost: false });
  }

  async #broken() {
    const sound = /** @type {Sound} */ (this.#sound);
    const [turn, error] = [this.#turn, /** @type {MediaError} */ (this.#audio.error)];
    const problem = await sound.problem().catch((failure) => failure);
    if (turn !== this.#turn) return;
    if (problem !== null) return this.#recover(problem);
    if (NO_OUTPUT.test(error.message) && !this.#audio.muted) return this.#playInSilence();
    const unsupported = error.code === MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED;
    if (unsupported && sound.by === "worker") {
      // Another rendering is worth a try only for what this browser plays by no means.
      this.#opening.cannotPlay(this.#tracks[this.#at.index]);
      return this.#load();
    }
    if (unsupported) return this.#giveUp(whyUnplayable(this.#tracks[this.#at.index].clips[0]));
    if (error.code === MediaError.MEDIA_ERR_DECODE) return this.#giveUp("damaged");
    return this.#recover(Object.assign(new Error("broken off"), { code: "unreachable" }));
  }

  /** Whoever follows the words, or shows a colleague how it works, need not hear it. */
  #playInSilence() {
    this.#audio.muted = true;
    announce(t("player.noOutput"));
    return this.#load();
  }

  /** Recover from a failure where that is possible; else tell it. @param {unknown} error */
  async #recover(error) {
    const { code } = /** @type {{ code?: string }} */ (error);
    if (code === "unreachable" || code === "unavailable") return this.#waitForNetwork();
    const track = this.#tracks[this.#at.index];
    if (code === "expired") return this.#openAnew(track);
    const [clip] = track.clips;
    const mayHaveMoved = ["object_changed", "object_not_found", "decryption_failed"].includes(code ?? "");
    if (!mayHaveMoved || this.#renewed.has(clip.file_id)) return this.#giveUp(error);
    this.#renewed.add(clip.file_id);
    const turn = this.#turn;
    const fresh = await freshRow(clip.file_id).catch(() => null);
    if (turn !== this.#turn) return;
    // Another object may lie under the same key; one that is not there, or does not open, has not moved then.
    if (fresh === null || (code !== "object_changed" && fresh.s3_key === clip.s3_key)) {
      return this.#giveUp(error);
    }
    announce(t("player.replaced"));
    track.clips[0] = fresh;
    this.#clips = this.#clips.map((known) => (known.file_id === fresh.file_id ? fresh : known));
    return this.#load();
  }

  /** The service's address has ended: with the vault there is another, with the password the person is asked. @param {Track} track */
  #openAnew(track) {
    this.#opening.expired(track);
    if (!track.sealed) return this.#load();
    this.#silence();
    this.#rest();
    announce(t("player.expired"));
  }

  #waitForNetwork() {
    this.#silence();
    if (!this.state.get().playing) {
      this.#rest();
      return tellBeside(wordsFor("unreachable"));
    }
    this.#lost = true;
    this.#tellLoss();
    this.state.set({ waiting: true });
    this.#retry = setTimeout(() => this.#goOn(), RETRY_MS);
  }

  /** Try once more, if it still waits for the network. */
  #goOn() {
    const { playing, waiting } = this.state.get();
    if (playing && waiting && this.#sound === null && !this.#loading) this.#load();
  }

  /** @param {unknown} failure an error, or the code of one */
  #giveUp(failure) {
    this.#silence();
    this.#found();
    if (this.#tracks.length > 1 && isOfOne(failure)) return this.#passOver(failure);
    this.#rest();
    tellBeside(wordsFor(failure));
  }

  /** One track of a sitting cannot be played: tell which, and go on behind it; never back, so that this ends. @param {unknown} failure */
  #passOver(failure) {
    const track = this.#tracks[this.#at.index];
    track.lost = true;
    this.#at.seconds = 0;
    this.#tellLost(track, failure);
    if (this.#nextIndex() >= 0) return this.#next();
    this.#rest();
  }

  /** Tell which clips cannot be played, by number, and one by its name as well. @param {Track} track @param {unknown} failure */
  async #tellLost({ clips: [clip] }, failure) {
    await openedName("title", clip);
    if (this.#closed) return;
    const lost = this.#tracks.filter((track) => track.lost).flatMap((track) => track.clips);
    const numbers = lost.map(({ file_id }) => 1 + this.#clips.findIndex((one) => one.file_id === file_id));
    const clips = this.#clips.length;
    tellBeside(wordsFor(failure), (why) =>
      numbers.length > 1
        ? t("player.clipsLost", { numbers: list(numbers.map(String)), clips })
        : t("player.clipLost", { number: numbers[0], clips, name: titleOf(clip), why }),
    );
  }

  // ---- Lengths that nobody has told -------------------------------------------------------------------------

  /** Find how long each clip is, so that `Position` goes over all of a sitting. */
  async #measure() {
    for (const track of [...this.#tracks]) {
      if (this.#closed) return;
      const known = track.lost || track.seconds !== null || track.clips.every(({ duration_ms }) => duration_ms !== null);
      if (known || track.sealed || track === this.#tracks[this.#at.index]) continue;
      const seconds = await measuredLength(track.clips[0]).catch(() => null);
      if (seconds === null || track.seconds !== null) continue;
      // The place on the timeline moves along with what is known of the clips before it.
      track.seconds = seconds;
      this.#tell();
    }
  }
}

/** Close what comes too late. @param {import("./opening.js").Opened} opened */
function letGo(opened) {
  if (opened !== null && "sounds" in opened) opened.sounds.forEach((sound) => sound.close());
}
