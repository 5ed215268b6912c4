// What stands above every view until it is done: a recovery key to make, a later release of this page to load.

import { profile, refreshProfile } from "../session/profile.js";
import { useRelease } from "../session/release.js";
import { session } from "../session/session.js";
import { lookForUnprovenKey, noteProvenKey, unproven } from "../session/unproven-key.js";
import { useStore } from "../store.js";
import { addressOf, route } from "../router.js";
import { t } from "../texts/index.js";
import { html, useEffect } from "../ui.js";

/** One banner: what is the matter, and what can be done. @param {{ text: string, children?: any }} props */
export const Banner = ({ text, children }) => html`
  <div class="banner">
    <p>${text}</p>
    ${children}
  </div>
`;

// There the banner would say what the view says already.
const VIEWS_OF_KEY = ["recovery-key", "account"];

/** Stays until the account has a recovery key that was typed back, or that its person says they have. */
function MakeRecoveryKey() {
  const missing = useStore(profile, ({ now }) => now?.recovery_key_set === false);
  const isUnproven = useStore(unproven, ({ of }) => of !== null && of === session.get().account?.user_id);
  const { view } = useStore(route, (value) => value);
  useEffect(() => {
    // It is not worth an alert: the next view asks again.
    if (profile.get().now === null) refreshProfile().catch(() => {});
    lookForUnprovenKey();
  }, [view]);
  if (!(missing || isUnproven) || VIEWS_OF_KEY.includes(view)) return null;
  return html`
    <${Banner} text=${t(missing ? "banner.recoveryKey" : "recovery.unproven")}>
      <a class="button" href=${addressOf("recovery-key")}>${t(missing ? "recovery.make" : "recovery.makeAnother")}</a>
      ${!missing && html`<button type="button" onClick=${noteProvenKey}>${t("recovery.have")}</button>`}
    <//>
  `;
}

/** Offers to reload when the service has another release than the one this page is of. */
export function NewRelease() {
  const changed = useRelease();
  if (!changed) return null;
  return html`
    <${Banner} text=${t("banner.release")}>
      <button type="button" onClick=${() => location.reload()}>${t("banner.reload")}</button>
    <//>
  `;
}

/** All banners of who is signed in. */
export const Banners = () => html`
  <aside class="banners" aria-label=${t("banner.all")}>
    <${NewRelease} />
    <${MakeRecoveryKey} />
  </aside>
`;
