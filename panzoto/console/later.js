// Parts that the first view does without: fetched when they are wanted, and all of them soon after it is drawn, so
// that a page of yesterday's release goes on after the service has been brought up to date.

import { tell } from "./parts/messages.js";
import { html, useEffect, useState } from "./ui.js";

const QUIET_MS = 1_500;
// Who leaves the page, or reloads it, has broken off what was being fetched.
const LEAVING_MS = 2_000;
let leftAt = -Infinity;

addEventListener("beforeunload", () => {
  leftAt = performance.now();
});

/** @param {unknown} error */
function tellUnlessLeaving(error) {
  if (performance.now() - leftAt > LEAVING_MS) tell(error);
}

/** @type {(() => Promise<void>)[]} */
const parts = [];
let begun = false;
/** @type {() => void} */
let beQuiet;
/** @type {Promise<void>} */
const quiet = new Promise((resolve) => {
  beQuiet = resolve;
});

/**
 * Return a component that draws what `load` resolves to once it is there, and nothing before. A `patient` one waits
 * for `fetchTheRest`, however early it is drawn.
 *
 * @param {() => Promise<(props: any) => any>} load
 * @param {{ patient?: boolean }} [how]
 */
export function later(load, { patient = false } = {}) {
  /** @type {((props: any) => any) | null} */
  let Part = null;
  /** @type {Promise<void> | null} */
  let loading = null;
  const fetched = () => {
    loading ??= load().then(
      (found) => {
        Part = found;
      },
      (error) => {
        loading = null;
        throw error;
      },
    );
    return loading;
  };
  parts.push(fetched);
  return function Later(/** @type {any} */ props) {
    const [, redraw] = useState(0);
    const isDrawn = Part !== null;
    useEffect(() => {
      // What counts is what was drawn: on a slow machine the part comes between that and this, for somebody else.
      if (isDrawn) return;
      const ready = patient ? quiet : Promise.resolve();
      ready.then(fetched).then(() => redraw(1), tellUnlessLeaving);
    }, []);
    return Part && html`<${Part} ...${props} />`;
  };
}

/** Fetch what is not here yet, once the page has been quiet for a while. What fails is asked for again when wanted. */
export function fetchTheRest() {
  if (begun) return;
  begun = true;
  setTimeout(async () => {
    beQuiet();
    for (const fetched of parts) await fetched().catch(() => {});
  }, QUIET_MS);
}
