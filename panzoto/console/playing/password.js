// The dialog that asks for the password where the service needs it: it is forgotten with the answer.

import { ServiceError } from "../library/errors.js";
import { Button, PasswordField } from "../parts/fields.js";
import { Dialog } from "../parts/dialog.js";
import { explain } from "../parts/messages.js";
import { account, session } from "../session/session.js";
import { createStore, useStore } from "../store.js";
import { t } from "../texts/index.js";
import { html, useState } from "../ui.js";

/**
 * What is done with the password while the dialog is still there, so that a wrong one can be typed anew.
 *
 * @typedef {{
 *   open?: (password: string) => Promise<unknown>,
 *   upgrade?: (password: string) => Promise<unknown>,
 *   action?: string,
 * }} Uses `action`: the words on the button in place of `Open`
 *
 * @typedef {{ why: string, uses: Uses, answer: (password: string | null) => void }} Asked
 */

const asked = createStore({ now: /** @type {Asked | null} */ (null) });

/**
 * Ask for the password, and say why. Resolves to it, or to null when the person thought better of it. Where `uses`
 * does something with it, that is done before: a password that was refused is asked for again.
 *
 * @param {string} why
 * @param {Uses} [uses]
 * @returns {Promise<string | null>}
 */
export function askPassword(why, uses = {}) {
  asked.get().now?.answer(null);
  return new Promise((resolve) => {
    const answer = (/** @type {string | null} */ password) => {
      asked.set({ now: null });
      resolve(password);
    };
    asked.set({ now: { why, uses, answer } });
  });
}

// A question that was asked before the lock is not put to whoever unlocks.
session.subscribe(() => {
  if (session.get().state !== "open") asked.get().now?.answer(null);
});

/** Where the dialog is drawn, once in the page. */
export function PasswordDialog() {
  const now = useStore(asked, (value) => value.now);
  return now && html`<${Form} ...${now} />`;
}

/** @param {Asked} props */
function Form({ why, uses, answer }) {
  const [password, setPassword] = useState("");
  const [fault, setFault] = useState("");
  const [busy, setBusy] = useState("");

  /** @param {"open" | "upgrade"} what */
  async function use(what) {
    if (password === "") return setFault(t("password.missing"));
    setBusy(what);
    setFault("");
    try {
      await uses[what]?.(password);
      answer(password);
    } catch (error) {
      setBusy("");
      setFault(words(error));
    }
  }

  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    if (busy === "") use("open");
  };
  return html`
    <${Dialog} title=${t("field.password")} close=${() => answer(null)}>
      <form onSubmit=${submit}>
        <p>${why}</p>
        <input type="email" autocomplete="username" value=${account().user.email} readonly hidden />
        <${PasswordField} label=${t("field.password")} value=${password} change=${setPassword} fault=${fault}
          autocomplete="current-password" enterkeyhint="go" />
        <div class="choices">
          <${Button} type="submit" class="primary" busy=${busy === "open"}>${uses.action ?? t("password.open")}<//>
          ${uses.upgrade && html`
            <${Button} busy=${busy === "upgrade"} onClick=${() => use("upgrade")}>${t("password.upgrade")}<//>
          `}
          <button type="button" class="plain" onClick=${() => answer(null)}>${t("password.cancel")}</button>
        </div>
        ${uses.upgrade && html`<p><small>${t("password.upgradeHint")}</small></p>`}
      </form>
    <//>
  `;
}

/** @param {unknown} error */
function words(error) {
  if (error instanceof ServiceError && error.code === "invalid_password") return t("password.wrong");
  const { text, detail } = explain(error);
  return `${text} ${detail}`.trim();
}
