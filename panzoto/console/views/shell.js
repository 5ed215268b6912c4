// What stands around every view of who is signed in: the way to each, and how to leave.

import { Banners } from "../parts/banner.js";
import { Messages } from "../parts/messages.js";
import { PasswordDialog } from "../playing/password.js";
import { addressOf } from "../router.js";
import { lock, signOut } from "../session/session.js";
import { t } from "../texts/index.js";
import { html } from "../ui.js";
import { ConsentQuestion } from "../words/consent.js";

const PLACES = /** @type {const} */ (["recordings", "search", "trash", "account"]);

/** @param {{ view: string, children?: any }} props `view`: the one that is shown */
export function Shell({ view, children }) {
  return html`
    <header class="top">
      <nav aria-label=${t("main.navigation")}>
        ${PLACES.map((place) => html`
          <a href=${addressOf(place)} aria-current=${view === place ? "page" : undefined}>${t(`main.${place}`)}</a>
        `)}
      </nav>
      <div class="leaving">
        <button type="button" class="plain" onClick=${() => lock()}>${t("main.lock")}</button>
        <button type="button" class="plain" onClick=${signOut}>${t("main.signOut")}</button>
      </div>
    </header>
    <main id="main" tabindex="-1">
      <${Banners} />
      <${Messages} />
      ${children}
    </main>
    <${PasswordDialog} />
    <${ConsentQuestion} />
  `;
}
