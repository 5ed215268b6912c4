// How each track comes to be heard: by the worker, by the service in a rendering of its own, or with the password.

import { isKnownKind, UnplayableError } from "./problems.js";
import { openSealed } from "./sealed.js";
import { canDecryptHere, openByService, openHere } from "./sounds.js";

/** @typedef {import("./sounds.js").Recording} Recording */
/** @typedef {import("./sounds.js").Sound} Sound */
/** @typedef {import("./timeline.js").Track} Track */

/** What to know before it plays: who decrypts it, and why. @typedef {"service" | "converted" | "tried" | "sealed" | null} Notice */

/**
 * One sound; or one for each clip, where the service does not join them; or the clips as they were upgraded; or
 * nothing, where it waits for the person.
 *
 * @typedef {{ sounds: Sound[] } | { upgraded: Map<string, Recording> } | null} Opened
 */

export class Opening {
  #notice;
  /** The next track's sound, opened before it is needed. @type {{ track: Track, sound: Promise<Sound | null> } | null} */
  #ahead = null;
  /** What the service has opened already. @type {Map<Track, Sound>} */
  #served = new Map();
  /** Tracks that this browser cannot play as they are. @type {Set<Track>} */
  #unplayable = new Set();

  /** @param {(notice: Notice) => void} notice is told before anything is asked of the service */
  constructor(notice) {
    this.#notice = notice;
  }

  /**
   * Open a track. Rejects as the worker, calls and the bucket do, and with an UnplayableError.
   *
   * @param {Track} track
   * @param {() => boolean} isWanted whether the person has pressed Play: the service hears nothing before
   * @returns {Promise<Opened>}
   */
  async open(track, isWanted) {
    if (track.sealed) return this.#unsealed(track, isWanted);
    if (!(await canDecryptHere())) return this.#converted(track, "service", isWanted);
    const sound = this.#unplayable.has(track) ? null : await this.#openedAhead(track);
    if (sound === null) return this.#converted(track, isKnownKind(track.clips[0]) ? "tried" : "converted", isWanted);
    this.#notice(null);
    return { sounds: [sound] };
  }

  /** Open a track before its time. What fails is tried again, and told, in its own time. @param {Track} track */
  openAhead(track) {
    if (track.sealed || this.#ahead?.track === track || this.#unplayable.has(track)) return;
    const sound = openHere(track.clips[0]);
    sound.catch(() => {
      if (this.#ahead?.track === track) this.#ahead = null;
    });
    this.#ahead = { track, sound };
  }

  /** Remember what the service has opened. @param {Track} track @param {Sound} sound */
  keep(track, sound) {
    this.#served.set(track, sound);
  }

  /** The service's address of this track has ended. @param {Track} track */
  expired(track) {
    this.#served.delete(track);
  }

  /** This browser cannot play it as it is. @param {Track} track */
  cannotPlay(track) {
    this.#unplayable.add(track);
  }

  close() {
    this.#ahead?.sound.then(
      (sound) => sound?.close(),
      () => {},
    );
    this.#ahead = null;
  }

  /** @param {Track} track */
  #openedAhead(track) {
    const ahead = this.#ahead?.track === track ? this.#ahead.sound : null;
    if (ahead === null) this.close();
    this.#ahead = null;
    return ahead ?? openHere(track.clips[0]);
  }

  /**
   * The service's own playback, after saying so.
   *
   * @param {Track} track
   * @param {"service" | "converted" | "tried"} notice
   * @param {() => boolean} isWanted
   * @returns {Promise<Opened>}
   */
  async #converted(track, notice, isWanted) {
    this.#notice(notice);
    if (!isWanted()) return null;
    const sound = await openByService(track.clips[0]);
    // The same sound once more would play no better.
    if (notice !== "service" && sound.address === sound.plain) {
      // Nothing is turned into anything.
      this.#notice(null);
      throw new UnplayableError(track.clips[0]);
    }
    return { sounds: [sound] };
  }

  /** @param {Track} track @param {() => boolean} isWanted @returns {Promise<Opened>} */
  async #unsealed(track, isWanted) {
    this.#notice("sealed");
    const served = this.#served.get(track);
    if (served !== undefined) return { sounds: [served] };
    if (!isWanted()) return null;
    const opened = await openSealed(track.clips);
    if (opened !== null && "sounds" in opened && opened.sounds.length === 1) this.keep(track, opened.sounds[0]);
    return opened;
  }
}
