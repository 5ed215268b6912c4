// The console's beginning: it takes up who stays signed in, and draws the view that the address names.

import { fetchTheRest } from "./later.js";
import { NewRelease, useBannersKnown } from "./parts/banner.js";
import { swallowSecondClicks } from "./parts/double-click.js";
import { keepFocus } from "./parts/focus.js";
import { dismiss, Messages } from "./parts/messages.js";
import { registerWorker } from "./playing/worker-link.js";
import { goInstead, route } from "./router.js";
import { watchForIdleness } from "./session/idle.js";
import { session, start } from "./session/session.js";
import { useStore } from "./store.js";
import { language, loadTexts, t } from "./texts/index.js";
import { html, render, useEffect } from "./ui.js";
import { stayWhenFilesAreDropped } from "./uploading/dropping.js";
import { Locked } from "./views/entrance/locked.js";
import { ENTRANCE_VIEWS, OPEN_VIEWS } from "./views/index.js";
import { Shell } from "./views/shell.js";

/** @param {{ children?: any }} props */
const Doorway = ({ children }) => html`
  <main id="main" tabindex="-1" class="doorway">
    <p class="brand">Panzoto</p>
    <${NewRelease} />
    <${Messages} />
    ${children}
  </main>
`;

/** The page as the machine itself reaches it, where browsers offer all without a certificate. */
const loopback = () => `http://127.0.0.1${location.port && `:${location.port}`}`;

const Insecure = () => html`
  <main class="doorway">
    <h1>Panzoto</h1>
    <p>${t("insecure.why")}</p>
    <p>${t("insecure.what", { address: loopback() })}</p>
  </main>
`;

function Console() {
  const { view, id } = useStore(route, (value) => value);
  const state = useStore(session, (value) => value.state);
  const known = useBannersKnown(state === "open", view);
  useEffect(() => {
    const main = document.getElementById("main");
    const first = /** @type {HTMLElement | null} */ (main?.querySelector("[autofocus]") ?? main);
    // A view may have chosen for itself.
    if (!main?.contains(document.activeElement) || document.activeElement === main) first?.focus({ preventScroll: true });
    // The list of recordings is found again where it was left; every other view begins at its top.
    if (view !== "recordings") scrollTo(0, 0);
  }, [view, id, state, known]);
  useEffect(() => {
    // Behind the lock too: uploads go on there.
    if (state === "open" || state === "locked") fetchTheRest();
  }, [state]);
  if (state === "starting") return null;
  if (state === "locked") return html`<${Doorway}><${Locked} /><//>`;
  if (state === "out") {
    const Entrance = ENTRANCE_VIEWS[Object.hasOwn(ENTRANCE_VIEWS, view) ? view : "sign-in"];
    return html`<${Doorway}><${Entrance} id=${id} /><//>`;
  }
  // At an address that there is not the recordings are shown.
  const shown = Object.hasOwn(OPEN_VIEWS, view) ? view : "recordings";
  const View = OPEN_VIEWS[shown];
  return html`<${Shell} view=${shown}>${known && html`<${View} key=${`${view}/${id}`} id=${id} />`}<//>`;
}

/** What somebody looked at before they left is no place to begin for whoever comes next. */
function leaveViewsWithTheirOwner() {
  let before = session.get().state;
  session.subscribe(() => {
    const { state } = session.get();
    // What was told of it is nothing to whoever finds the page locked.
    if (state !== "open" && before === "open") dismiss();
    if (state === "out" && before !== "starting" && before !== "out") {
      dismiss();
      goInstead("sign-in");
    }
    before = state;
  });
}

/** Draw the page: the console, or why there can be none. */
async function begin() {
  const place = /** @type {HTMLElement} */ (document.getElementById("console"));
  document.documentElement.lang = language;
  await loadTexts();
  if (!isSecureContext) {
    return render(html`<${Insecure} />`, place);
  }
  registerWorker();
  watchForIdleness();
  stayWhenFilesAreDropped();
  swallowSecondClicks();
  keepFocus();
  leaveViewsWithTheirOwner();
  render(html`<${Console} />`, place);
  await start();
}

begin();
