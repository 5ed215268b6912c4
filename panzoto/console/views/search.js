// Finding words in everything that was said, and in titles, without telling anybody which.

import { explain } from "../parts/messages.js";
import { useTabTitle } from "../parts/tab-title.js";
import { playAt } from "../playing/current.js";
import { momentOf } from "../recordings/known.js";
import { recordingOf } from "../recordings/store.js";
import { headingOf, useNames } from "../recordings/titles.js";
import { addressOf } from "../router.js";
import { session, vault } from "../session/session.js";
import { useStore } from "../store.js";
import { length, moment, number } from "../texts/formats.js";
import { t } from "../texts/index.js";
import { html, useEffect, useRef } from "../ui.js";
import { followTranscripts, progress } from "../words/link.js";
import { CONTEXT } from "../words/passages.js";
import { LONGEST_QUERY } from "../words/query.js";
import { forgetSearch, look, more, search } from "../words/searching.js";

/** @import { Hit } from "../words/collection.js" */
/** @import { Passage } from "../words/passages.js" */

export function Search() {
  useTabTitle(t("search.title"));
  const { text, hits, isOver, isInvalid } = useStore(search, (value) => value);
  const isForeign = vault().transcripts.foreign;
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => field.current?.focus(), []);
  return html`
    <h1>${t("search.title")}</h1>
    <form role="search" class="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <input ref=${field} type="search" aria-label=${t("search.title")} value=${text} dir="auto"
        maxlength=${LONGEST_QUERY} autocomplete="off" autocapitalize="none" autocorrect="off"
        spellcheck=${false} enterkeyhint="search" aria-describedby="search-hint"
        onInput=${(/** @type {any} */ event) => look(event.target.value)} />
      <p id="search-hint" class="quiet">${t("search.hint")}</p>
    </form>
    ${isForeign && html`<p class="said said-alert" role="alert">${t("account.foreign")}</p>`}
    <${Readiness} isAsked=${text.trim() !== ""} />
    <p role="status" class="quiet">${outcome(text, hits, isOver, isInvalid)}</p>
    ${hits.length > 0 && html`
      <ul class="results" aria-label=${t("search.results")}>
        ${hits.map((hit) => html`<${Lines} key=${hit.fileId} hit=${hit} />`)}
      </ul>
    `}
    ${hits.length > 0 && !isOver && html`
      <p class="actions"><button type="button" onClick=${more}>${t("search.more")}</button></p>
    `}
  `;
}

/** @param {string} text @param {Hit[]} hits @param {boolean} isOver @param {boolean} isInvalid */
function outcome(text, hits, isOver, isInvalid) {
  if (text.trim() === "") return "";
  if (isInvalid) return t("search.nothingWanted");
  if (hits.length > 0) return t(isOver ? "search.found" : "search.foundSoFar", { recordings: hits.length });
  return isOver ? t("search.nothing") : t("search.searching");
}

/**
 * How far the transcripts are opened; once all are, whoever searches need not be told.
 *
 * @param {{ isAsked: boolean }} props
 */
function Readiness({ isAsked }) {
  const { ready, all, following, failure } = useStore(progress, (value) => value);
  if (failure !== null) {
    return html`
      <p class="said">${t("search.outOfDate")} ${explain(failure).text}
        <button type="button" class="plain" onClick=${followTranscripts}>${t("search.tryAgain")}</button></p>
    `;
  }
  if (all === 0) return html`<p class="quiet">${t(following ? "search.fetching" : "search.empty")}</p>`;
  if (ready === all && !following) {
    return !isAsked && html`<p class="quiet">${t("search.ready", { all: number(all) })}</p>`;
  }
  return html`
    <div class="readiness">
      <p id="search-readiness">${t("search.opening", { ready: number(ready), all: number(all) })}</p>
      <progress aria-labelledby="search-readiness" max=${all} value=${ready}></progress>
    </div>
  `;
}

/** The places of one recording, each a link that plays from there. @param {{ hit: Hit }} props */
function Lines({ hit: { fileId, title, passages } }) {
  useNames();
  const recording = recordingOf(fileId);
  if (recording === null) return null;
  const at = moment(momentOf(recording));
  const heading = headingOf(recording);
  return html`
    ${title !== null && html`
      <${Line} fileId=${fileId} seconds=${0} head=${at} about=${t("search.inTitle")} passage=${title} first />
    `}
    ${passages.map((passage, place) => html`
      <${Line} key=${place} fileId=${fileId} seconds=${passage.start_ms / 1000} head=${heading || at}
        about=${[heading && at, t("search.at", { at: length(passage.start_ms) })].filter(Boolean).join(" · ")} passage=${passage}
        first=${place === 0 && title === null} />
    `)}
  `;
}

/**
 * @param {{ fileId: string, seconds: number, head: string, about: string, passage: Passage, first?: boolean
 *   }} props
 */
function Line({ fileId, seconds, head, about, passage, first = false }) {
  const { before, text, after } = passage;
  return html`
    <li class=${first ? "result first-of-recording" : "result"}>
      <a href=${addressOf("recording", fileId)} onClick=${() => playAt(fileId, seconds)}>
        <span class="result-head"><bdi dir="auto">${head}</bdi> <small>${about}</small></span>
        <span class="result-words" dir="auto">
          ${isCut(before) && "…"}${wholeWordsBefore(before)}<mark>${text}</mark>${wholeWordsAfter(after)}${isCut(after) && "…"}
        </span>
      </a>
    </li>
  `;
}

/** Whether there is more of a text than stands around the words that were found. @param {string} context */
const isCut = (context) => context.length >= CONTEXT;

// Where words stand apart, none is shown in part.
const wholeWordsBefore = (/** @type {string} */ text) => (isCut(text) ? text.replace(/^\S+(?=\s)/u, "") : text);
const wholeWordsAfter = (/** @type {string} */ text) => (isCut(text) ? text.replace(/(?<=\s)\S+$/u, "") : text);

// Whoever comes back to the view finds their search again; whoever locks the page leaves none behind.
session.subscribe(() => {
  if (session.get().state !== "open") forgetSearch();
});
