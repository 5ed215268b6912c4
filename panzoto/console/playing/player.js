// The player of one recording, or of a sitting's clips: its region, its buttons, and what it says of itself.

import { length as lengthInWords } from "../texts/formats.js";
import { t } from "../texts/index.js";
import { useStore } from "../store.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "../ui.js";
import { playerIs, takeWanted } from "./current.js";
import { BackIcon, ForwardIcon, PauseIcon, PlayIcon, VolumeIcon } from "./icons.js";
import { listenToKeys } from "./keys.js";
import { Playback } from "./playback.js";
import { setSpeed, setVolume, SPEEDS, soundSettings } from "./settings.js";
import { Waveform } from "./waveform.js";

const STEP_SECONDS = 15;

// Phones let nobody but their owner's buttons set how loud a page is: there the slider would lie.
const canSetVolume = (() => {
  const audio = new Audio();
  audio.volume = 0.5;
  return audio.volume === 0.5;
})();

/**
 * Play these: one recording, or the clips of a sitting, the oldest first.
 *
 * @param {{ recordings: import("./sounds.js").Recording[] }} props
 */
export function Player({ recordings }) {
  const audio = useRef(/** @type {HTMLAudioElement | null} */ (null));
  const [playback, setPlayback] = useState(/** @type {Playback | null} */ (null));
  const ids = recordings.map(({ file_id }) => file_id).join();
  useEffect(() => {
    const made = new Playback(recordings, /** @type {HTMLAudioElement} */ (audio.current));
    const gone = playerIs(made);
    setPlayback(made);
    made.begin(takeWanted((fileId) => made.has(fileId)));
    return () => {
      gone();
      made.close();
    };
  }, [ids]);
  useEffect(() => playback?.update(recordings), [playback, recordings]);
  return html`
    <section class="player" aria-label=${t("player.region")}>
      <audio ref=${audio} data-player preload="auto" hidden></audio>
      ${playback !== null && html`<${Controls} key=${ids} playback=${playback} />`}
    </section>
  `;
}

/** @param {{ playback: Playback }} props */
function Controls({ playback }) {
  const { playing, waiting, notice, lost } = useStore(playback.state, (value) => value);
  // Whoever sees the player may press its keys at once.
  useLayoutEffect(() => listenToKeys(playback), [playback]);
  return html`
    ${notice && html`<p class="player-notice">${t(`player.notice.${notice}`)}</p>`}
    ${lost && html`<p class="player-notice">${t("player.waitsForNetwork")}</p>`}
    <${Waveform} playback=${playback} />
    <${Position} playback=${playback} />
    <div class="player-buttons">
      <button type="button" class="round" aria-label=${t("player.back")} title=${t("player.back")}
        onClick=${() => playback.step(-STEP_SECONDS)}><${BackIcon} /></button>
      <${PlayButton} playback=${playback} />
      <button type="button" class="round" aria-label=${t("player.forward")} title=${t("player.forward")}
        onClick=${() => playback.step(STEP_SECONDS)}><${ForwardIcon} /></button>
      <span class="player-waiting" aria-hidden="true" hidden=${!(playing && waiting)}></span>
      <${Settings} />
    </div>
  `;
}

/** @param {{ playback: Playback }} props */
function PlayButton({ playback }) {
  const button = useRef(/** @type {HTMLButtonElement | null} */ (null));
  const { playing, refused } = useStore(playback.state, (value) => value);
  useEffect(() => {
    if (refused) button.current?.focus();
  }, [refused]);
  const name = t(playing ? "player.pause" : "player.play");
  return html`
    <button type="button" ref=${button} class="primary round play" aria-label=${name} title=${name}
      onClick=${() => playback.toggle()}>${playing ? html`<${PauseIcon} />` : html`<${PlayIcon} />`}</button>
  `;
}

/** @param {{ playback: Playback }} props */
function Position({ playback }) {
  const { position, length } = useStore(playback.state, (value) => value);
  // While it is dragged the handle follows the finger, and the sound waits until it is let go.
  const [dragged, setDragged] = useState(/** @type {number | null} */ (null));
  const shown = Math.min(dragged ?? position, Math.max(length, position));
  // The keys go by tenths, and so does the handle: the last one may end behind the sound, or it would never be reached.
  const end = Math.max(Math.ceil(length * 10) / 10, 0.1);
  const words = { at: lengthInWords(shown * 1000), length: length > 0 ? lengthInWords(length * 1000) : "–" };
  const seek = (/** @type {any} */ event) => {
    setDragged(null);
    playback.seek(Number(event.target.value));
  };
  return html`
    <div class="player-position">
      <span aria-hidden="true">${words.at}</span>
      <input type="range" min="0" max=${end} step="0.1" value=${length > 0 && shown >= length ? end : shown}
        aria-label=${t("player.position")} aria-valuetext=${t("player.positionOf", words)} disabled=${length === 0}
        onInput=${(/** @type {any} */ event) => setDragged(Number(event.target.value))} onChange=${seek} />
      <span aria-hidden="true">${words.length}</span>
    </div>
  `;
}

function Settings() {
  const { speed, volume } = useStore(soundSettings, (value) => value);
  return html`
    <div class="player-settings">
      <select aria-label=${t("player.speed")} value=${String(speed)}
        onChange=${(/** @type {any} */ event) => setSpeed(Number(event.target.value))}>
        ${SPEEDS.map((one) => html`
          <option value=${String(one)} selected=${one === speed}>${t("player.times", { speed: one })}</option>
        `)}
      </select>
      ${canSetVolume && html`
        <${VolumeIcon} />
        <input type="range" class="volume" min="0" max="100" step="5" value=${Math.round(volume * 100)}
          aria-label=${t("player.volume")} aria-valuetext=${`${Math.round(volume * 100)} %`}
          onInput=${(/** @type {any} */ event) => setVolume(Number(event.target.value) / 100)} />
      `}
    </div>
  `;
}
