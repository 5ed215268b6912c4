// What can be done with a transcript: correct it, copy it, take it along.

import { announce, tell } from "../parts/messages.js";
import { stemOf } from "../playing/names.js";
import { momentOf } from "../recordings/known.js";
import { headingOf } from "../recordings/titles.js";
import { t } from "../texts/index.js";
import { html, useEffect, useState } from "../ui.js";
import { FORMATS } from "./rendering.js";

/** @import { Recording } from "../recordings/known.js" */
/** @import { Transcript } from "./words-worker.js" */

const NAMES = /** @type {const} */ (["text", "srt", "vtt", "json"]);

/** @param {Recording} recording @param {string} ending */
const fileNameOf = (recording, ending) => `${stemOf(headingOf(recording), momentOf(recording))}.${ending}`;

/** Addresses of the transcript in each format, while it is shown. @param {Transcript} transcript */
function useAddresses(transcript) {
  const [addresses, setAddresses] = useState(/** @type {Record<string, string>} */ ({}));
  useEffect(() => {
    const made = NAMES.map((name) => {
      const { type, write } = FORMATS[name];
      return [name, URL.createObjectURL(new Blob([write(transcript)], { type }))];
    });
    setAddresses(Object.fromEntries(made));
    return () => {
      for (const [, address] of made) URL.revokeObjectURL(address);
    };
  }, [transcript]);
  return addresses;
}

/** @param {{ recording: Recording, transcript: Transcript, edit: () => void }} props */
export function Tools({ recording, transcript, edit }) {
  const addresses = useAddresses(transcript);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(new TextDecoder().decode(FORMATS.text.write(transcript)));
      announce(t("words.copied"));
    } catch {
      tell(t("words.notCopied"));
    }
  };
  return html`
    <div class="transcript-tools">
      ${transcript.segments.length > 0 && html`
        <button type="button" onClick=${edit}>${t("words.edit")}</button>
        <button type="button" onClick=${copy}>${t("words.copy")}</button>
      `}
      <span class="download-as">
        <span aria-hidden="true">${t("words.downloadAs")}</span>
        ${NAMES.map((name) => html`
          <a key=${name} href=${addresses[name]} download=${fileNameOf(recording, FORMATS[name].ending)}
            aria-label=${t(`words.download.${name}`)}>${t(`words.format.${name}`)}</a>
        `)}
      </span>
    </div>
  `;
}
