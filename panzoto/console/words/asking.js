// Asking for a transcript: where the sound goes, how far the service is, and what went wrong.

import { Button } from "../parts/fields.js";
import { attempt } from "../parts/messages.js";
import { useStore } from "../store.js";
import { number } from "../texts/formats.js";
import { t } from "../texts/index.js";
import { html, useEffect, useRef, useState } from "../ui.js";
import { giveConsent, useConsent } from "./consent.js";
import { knowledge, placeOf } from "./engine.js";
import { cancelJob, goesOn, jobs, look, transcribe, watch } from "./jobs.js";
import { languages } from "./languages.js";

/** @import { Recording } from "../recordings/known.js" */
/** @import { Engine } from "./engine.js" */

const KNOWN_FAILURES = /** @type {const} */ ([
  "decryption_failed", "engine_refused", "engine_unavailable", "expired", "not_audio", "object_changed",
]);

const isQueued = (/** @type {Recording} */ { transcript }) => transcript?.status === "queued";
const hasFailed = (/** @type {Recording} */ { transcript }) => transcript?.status === "failed";
const isWritten = (/** @type {Recording} */ { transcript }) => Boolean(transcript?.revision);

/** @param {{ recordings: Recording[] }} props */
export function Asking({ recordings }) {
  const engine = useStore(knowledge, (value) => value.engine);
  const queued = recordings.find(isQueued)?.transcript?.transcription_id ?? null;
  const failed = recordings.find(hasFailed)?.transcript?.transcription_id ?? null;
  const listed = recordings.filter(({ deleted_at, status }) => deleted_at === null && status !== "pending");
  if (queued !== null) return html`<${Progress} id=${queued} />`;
  if (listed.length === 0) return null;
  const missing = listed.filter((recording) => !isWritten(recording));
  const replace = missing.length === 0;
  return html`
    ${failed !== null && html`<${Failed} id=${failed} />`}
    ${engine?.available === false && !replace && html`<p class="quiet">${t("words.unavailable")}</p>`}
    ${engine?.available && html`
      <${Wish} key=${replace} engine=${engine} recordings=${replace ? listed : missing} replace=${replace}
        again=${failed !== null} />
    `}
  `;
}

/** @param {{ engine: Engine, recordings: Recording[], replace: boolean, again: boolean }} props */
function Wish({ engine, recordings, replace, again }) {
  const agreed = useConsent();
  const [language, setLanguage] = useState("");
  const [busy, setBusy] = useState(false);
  const place = placeOf(engine);
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    await attempt(async () => {
      const how = { ...(language && { language }), ...(replace && { replace }) };
      if ((await transcribe(recordings, how)) !== null) await giveConsent();
    });
    setBusy(false);
  };
  const isCorrected = replace && recordings.some(({ transcript }) => transcript?.source === "client");
  return html`
    <form class="wish" onSubmit=${submit}>
      <p>${replace ? t("words.anotherLanguage") : t(agreed ? "words.place" : "words.consent", { place })}
        ${isCorrected && ` ${t("words.replacesYours")}`}</p>
      <div class="wish-fields">
        <${LanguageChoice} language=${language} change=${setLanguage} />
        <${Button} type="submit" class=${replace ? "" : "primary"} busy=${busy}>
          ${again && !replace ? t("words.tryAgain") : t("words.transcribe")}
        <//>
      </div>
    </form>
  `;
}

/** @param {{ code: string, name: string }} language */
const optionOf = ({ code, name }) => html`<option key=${code} value=${code}>${name}</option>`;

/** @param {{ language: string, change: (language: string) => void }} props */
function LanguageChoice({ language, change }) {
  const id = useRef(`language-${Math.random().toString(36).slice(2)}`).current;
  const all = useRef(languages()).current;
  return html`
    <div class="wish-language">
      <label for=${id}>${t("words.language")}</label>
      <select id=${id} value=${language} onChange=${(/** @type {any} */ event) => change(event.target.value)}>
        <option value="">${t("words.anyLanguage")}</option>
        ${all.map(optionOf)}
      </select>
    </div>
  `;
}

/** @param {{ id: string }} props */
function Progress({ id }) {
  const job = useStore(jobs, (value) => value.jobs.get(id));
  const [busy, setBusy] = useState(false);
  useEffect(() => watch(id), [id]);
  const cancel = async () => {
    setBusy(true);
    await attempt(() => cancelJob(id));
    setBusy(false);
  };
  const share = job?.progress ?? 0;
  const isRunning = job?.status === "running";
  const isOver = job !== undefined && !goesOn(job);
  return html`
    <div class="job">
      <p aria-live="polite">${isRunning ? t("words.running") : t("words.queued")}</p>
      <progress aria-label=${t("words.progress")} max="1" value=${isRunning ? share : undefined}></progress>
      ${isRunning && html`<small>${t("words.share", { percent: number(Math.floor(share * 100)) })}</small>`}
      <${Button} busy=${busy || isOver} onClick=${cancel}>${t("words.cancel")}<//>
    </div>
  `;
}

/** @param {{ id: string }} props */
function Failed({ id }) {
  const error = useStore(jobs, (value) => value.jobs.get(id)?.error);
  useEffect(() => {
    look(id).catch(() => {});
  }, [id]);
  const known = KNOWN_FAILURES.find((code) => code === error?.code);
  return html`<p class="said said-alert">${known ? t(`words.failed.${known}`) : t("words.failed")}</p>`;
}

