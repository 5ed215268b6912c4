// What could not be loaded: a view says so in its place, and asks again by itself once the service answers again.

import { isUnreachable, onAnswerAgain } from "../session/reach.js";
import { t } from "../texts/index.js";
import { html, useEffect, useRef } from "../ui.js";
import { explain, saidInView, tellOfLoading } from "./messages.js";

/** Have `again` called when the service answers again, while `failure` is that it did not. @param {unknown} failure @param {() => void} again */
function useAgain(failure, again) {
  const latest = useRef(again);
  latest.current = again;
  const passing = isUnreachable(failure);
  useEffect(() => (passing ? onAnswerAgain(() => latest.current()) : undefined), [passing]);
  return passing;
}

/** @param {{ failure: unknown, again: () => void }} props */
export function Failure({ failure, again }) {
  const { text, detail } = explain(failure);
  const passing = useAgain(failure, again);
  useEffect(() => (passing ? saidInView() : undefined), [passing]);
  return html`
    <div class="said said-alert" role="alert">
      <p>${text} <small>${detail}</small></p>
      <button type="button" class="plain" onClick=${again}>${t("recordings.tryAgain")}</button>
    </div>
  `;
}

/**
 * Load what a part of a view shows, when it is first drawn; what fails is said above the view, and asked for again
 * once the service answers again.
 *
 * @param {() => Promise<unknown>} load
 */
export function useLoading(load) {
  useEffect(() => {
    let isLeft = false;
    let isMissing = false;
    const begin = () => {
      isMissing = false;
      load().catch((error) => {
        isMissing = isUnreachable(error);
        if (!isLeft) tellOfLoading(error);
      });
    };
    begin();
    const stop = onAnswerAgain(() => isMissing && begin());
    return () => {
      isLeft = true;
      stop();
    };
  }, []);
}
