// What stands above every view until it is done: a recovery key to make, a later release of this page to load.

import { profile, refreshProfile } from "../session/profile.js";
import { useRelease } from "../session/release.js";
import { session } from "../session/session.js";
import { lookForUnprovenKey, noteProvenKey, unproven } from "../session/unproven-key.js";
import { useStore } from "../store.js";
import { addressOf, route } from "../router.js";
import { t } from "../texts/index.js";
import { html, useEffect, useState } from "../ui.js";

/** One banner: what is the matter, and what can be done. @param {{ text: string, children?: any }} props */
export const Banner = ({ text, children }) => html`
  <div class="banner">
    <p>${text}</p>
    ${children}
  </div>
`;

// A view waits so long for what stands above it: that would else come late, and move what is about to be pressed.
const WAITING_MS = 1_000;
// There the banner would say what the view says already.
const VIEWS_OF_KEY = ["recovery-key", "account"];

/** Stays until the account has a recovery key that was typed back, or that its person says they have. */
function MakeRecoveryKey() {
  const missing = useStore(profile, ({ now }) => now?.recovery_key_set === false);
  const isUnproven = useStore(unproven, ({ of }) => of !== null && of === session.get().account?.user_id);
  const { view } = useStore(route, (value) => value);
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

/** What failed is not worth an alert: the next view asks again. */
const askForBanners = () =>
  Promise.allSettled([profile.get().now === null ? refreshProfile() : null, lookForUnprovenKey()]);

/**
 * Ask with each view what is to stand above it, once somebody is in; true from when it is known for the first time, or
 * asking has taken too long.
 *
 * @param {boolean} isIn
 * @param {string} view
 */
export function useBannersKnown(isIn, view) {
  const [known, setKnown] = useState(false);
  useEffect(() => {
    if (!isIn) return setKnown(false);
    let asked = true;
    const settle = () => asked && setKnown(true);
    const late = setTimeout(settle, WAITING_MS);
    askForBanners().then(settle);
    return () => {
      asked = false;
      clearTimeout(late);
    };
  }, [isIn, view]);
  return known;
}

/** All banners of who is signed in. */
export const Banners = () => html`
  <aside class="banners" aria-label=${t("banner.all")}>
    <${NewRelease} />
    <${MakeRecoveryKey} />
  </aside>
`;
