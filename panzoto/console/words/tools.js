// What can be done with a transcript: correct it, copy it, take it along.

import { copy } from "../parts/copying.js";
import { stemOf } from "../playing/names.js";
import { momentOf } from "../recordings/known.js";
import { headingOf } from "../recordings/titles.js";
import { t } from "../texts/index.js";
import { html, useEffect, useRef } from "../ui.js";
import { FORMATS } from "./rendering.js";

/** @import { Recording } from "../recordings/known.js" */
/** @import { Transcript } from "./words-worker.js" */

const NAMES = /** @type {const} */ (["text", "srt", "vtt", "json"]);

/** @param {Recording} recording @param {string} ending */
const fileNameOf = (recording, ending) => `${stemOf(headingOf(recording), momentOf(recording))}.${ending}`;

/**
 * Give links the address of the transcript in a format as soon as somebody wants it: a long one takes its time
 * to be written.
 *
 * @param {Transcript} transcript
 */
function useAddresses(transcript) {
  const made = useRef(/** @type {Map<string, string>} */ (new Map()));
  useEffect(
    () => () => {
      for (const address of made.current.values()) URL.revokeObjectURL(address);
      made.current = new Map();
    },
    [transcript],
  );
  return (/** @type {keyof typeof FORMATS} */ name) => (/** @type {any} */ { currentTarget }) => {
    const { type, write } = FORMATS[name];
    const address = made.current.get(name) ?? URL.createObjectURL(new Blob([write(transcript)], { type }));
    made.current.set(name, address);
    currentTarget.href = address;
  };
}

/** @param {{ recording: Recording, transcript: Transcript, edit: () => void }} props */
export function Tools({ recording, transcript, edit }) {
  const addressed = useAddresses(transcript);
  const copyText = () => {
    const text = new TextDecoder().decode(FORMATS.text.write(transcript));
    return copy(text, { copied: t("words.copied"), refused: t("words.notCopied") });
  };
  return html`
    <div class="transcript-tools">
      ${transcript.segments.length > 0 && html`
        <button type="button" onClick=${edit}>${t("words.edit")}</button>
        <button type="button" onClick=${copyText}>${t("words.copy")}</button>
      `}
      <span class="download-as">
        <span aria-hidden="true">${t("words.downloadAs")}</span>
        ${NAMES.map((name) => html`
          <a key=${name} href=${location.hash} onClick=${addressed(name)} onContextMenu=${addressed(name)} download=${fileNameOf(recording, FORMATS[name].ending)}
            aria-label=${t(`words.download.${name}`)}>${t(`words.format.${name}`)}</a>
        `)}
      </span>
    </div>
  `;
}
