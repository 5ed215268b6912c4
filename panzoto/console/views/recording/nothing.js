// What a view says of a recording that is not there, or not there yet.

import { Failure } from "../../parts/failure.js";
import { addressOf } from "../../router.js";
import { t } from "../../texts/index.js";
import { html } from "../../ui.js";

/** @param {{ missing: boolean, failure: unknown, again: () => void }} props */
export function Nothing({ missing, failure, again }) {
  if (missing) {
    return html`
      <h1>${t("recording.missing")}</h1>
      <p>${t("recording.missingHint")}</p>
      <p>
        <a href=${addressOf("recordings")}>${t("recording.back")}</a> · ${" "}
        <a href=${addressOf("trash")}>${t("main.trash")}</a>
      </p>
    `;
  }
  if (failure === null) {
    return html`<h1>${t("recording.one")}</h1><p role="status">${t("recordings.loading")}</p>`;
  }
  return html`<h1>${t("recording.one")}</h1><${Failure} failure=${failure} again=${again} />`;
}
