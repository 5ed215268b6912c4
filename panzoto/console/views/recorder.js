// The dialog that records from the microphone.

import { Dialog } from "../parts/dialog.js";
import { Button } from "../parts/fields.js";
import { announce, attempt } from "../parts/messages.js";
import { useStore } from "../store.js";
import { length } from "../texts/formats.js";
import { t } from "../texts/index.js";
import { html, useState } from "../ui.js";
import { discard, elapsed, giveUpStarting, pause, recordedSoFar, recorder, rescuedOfMine, resume, start, stopAndSave } from "../uploading/recorder.js";
import "../uploading/busy.js";
import { saveAsFile } from "../uploading/saving.js";

/** @param {{ close: () => void }} props */
export function Recorder({ close }) {
  const { phase, level, silent, muted, kept, problem } = useStore(recorder, (value) => value);
  const [asking, setAsking] = useState(false);
  const going = phase === "recording" || phase === "paused";
  const save = async () => {
    if ((await attempt(stopAndSave)) && rescuedOfMine().length === 0) announce(t("recorder.saved"));
    close();
  };
  const forget = async () => {
    await attempt(discard);
    close();
  };
  // Escape and back lose nothing that was said.
  const leave = () => {
    if (going) return save();
    giveUpStarting();
    if (phase !== "saving") close();
  };
  return html`
    <${Dialog} title=${t("recorder.record")} close=${leave}>
      <div class="recorder">
        <p class="recorder-time" role="timer" aria-label=${t("recorder.time")}>${length(elapsed())}</p>
        ${level === null
          ? html`<p><small>${t("recorder.noLevel")}</small></p>`
          : html`
            <label class="recorder-level">
              ${t("recorder.level")} <meter min="0" max="1" value=${level} style=${{ "--level": level }}></meter>
            </label>
          `}
        <p role="status">${!problem && statusOf({ phase, silent, muted })}</p>
        ${problem && html`<p role="alert" class="fault">${problem}</p>`}
        ${going && !kept && html`<${Unkept} />`}
        <div class="actions">
          <${Changing} phase=${phase} />
          ${(phase === "idle" || phase === "starting") && html`<button type="button" class="plain" onClick=${leave}>${t("recorder.close")}</button>`}
          ${going && html`<button type="button" class="primary" onClick=${save}>${t("recorder.stop")}</button>`}
          ${going && html`<button type="button" class="plain" onClick=${() => setAsking(true)}>${t("recorder.discard")}</button>`}
        </div>
      </div>
      ${asking && html`
        <${Dialog} title=${t("recorder.discardQuestion")} question close=${() => setAsking(false)}>
          <p>${t("recorder.discardHint")}</p>
          <div class="actions">
            <button type="button" autofocus onClick=${() => setAsking(false)}>${t("recorder.keep")}</button>
            <button type="button" class="danger" onClick=${forget}>${t("recorder.discard")}</button>
          </div>
        <//>
      `}
    <//>
  `;
}

const PRESSES = /** @type {const} */ ({
  idle: [start, "recorder.start"],
  starting: [start, "recorder.start"],
  recording: [pause, "recorder.pause"],
  paused: [resume, "recorder.resume"],
});

/**
 * The button that begins, pauses and goes on. It stays one and the same: nothing else comes under the pointer, and
 * whoever works by the keyboard keeps their place.
 *
 * @param {{ phase: import("../uploading/recorder.js").Phase }} props
 */
function Changing({ phase }) {
  if (phase === "saving") return null;
  const isNew = phase === "idle" || phase === "starting";
  const [press, name] = PRESSES[phase];
  return html`
    <${Button} class=${isNew ? "primary" : ""} autofocus busy=${phase === "starting"} onClick=${press}>
      ${t(name)}
    <//>
  `;
}

/** @param {{ phase: import("../uploading/recorder.js").Phase, silent: boolean, muted: boolean }} now */
function statusOf({ phase, silent, muted }) {
  if (phase === "recording" && muted) return t("recorder.muted");
  if (phase === "recording" && silent) return t("recorder.silent");
  return t(/** @type {import("../texts/index.js").TextName} */ (`recorder.is.${phase}`));
}

/** What this browser cannot keep is offered as a file at once. */
function Unkept() {
  const save = async () => {
    const file = await recordedSoFar();
    if (file !== null) saveAsFile(file);
  };
  return html`
    <div role="alert" class="said said-alert unkept">
      <p>${t("recorder.unkept")}</p>
      <button type="button" onClick=${() => attempt(save)}>${t("recorder.download")}</button>
    </div>
  `;
}
