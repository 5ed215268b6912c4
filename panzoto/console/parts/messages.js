// What happened, said in one place: a status region for what went well, an alert region for what did not.

import { AccountError, RecordingError, ServiceError, TranscriptError } from "../library/errors.js";
import { isUnreachable, onAnswerAgain } from "../session/reach.js";
import { createStore, useStore } from "../store.js";
import { t } from "../texts/index.js";
import { html } from "../ui.js";

/** @typedef {{ text: string, detail: string }} Said */

// `at`, `alertAt`: the view that was shown, or was just about to be, when it was told. `passing`: the alert is over once
// the service answers again. `inView`: so many parts of the view say in their places that it does not.
const said = createStore({
  status: "",
  at: "",
  alert: /** @type {Said | null} */ (null),
  alertAt: "",
  passing: false,
  inView: 0,
});

onAnswerAgain(() => said.get().passing && dismiss());

// What was told in one view is nothing to the next.
addEventListener("hashchange", () => {
  const { at, alertAt } = said.get();
  if (at !== location.hash) said.set({ status: "" });
  if (alertAt !== location.hash) dismiss();
});

// Whoever gives other files has read what was said of those before.
addEventListener("drop", () => dismiss(), { capture: true });
addEventListener("change", ({ target }) => target instanceof HTMLInputElement && target.type === "file" && dismiss(), {
  capture: true,
});

// What went well is read by then, and would soon be no longer true.
const STATUS_MS = 10_000;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let forgetting;

/** Say that something went well, or goes on. */
export function announce(/** @type {string} */ text) {
  clearTimeout(forgetting);
  said.set({ status: text, at: location.hash });
  forgetting = setTimeout(() => said.set({ status: "" }), STATUS_MS);
}

/** Say that something failed, and what can be done. @param {unknown} error */
export function tell(error) {
  tellBeside(error);
  said.set({ status: "" });
}

/**
 * The same of what nobody had just asked for: what was told of something else still holds.
 *
 * @param {unknown} error
 * @param {(text: string) => string} [inWords] says more than the error's own words
 */
export function tellBeside(error, inWords = (text) => text) {
  const { text, detail } = explain(error);
  said.set({ alert: { text: inWords(text), detail }, alertAt: location.hash, passing: false });
}

/** The same of what a view wanted to show: that the service does not answer is so until it does. @param {unknown} error */
export function tellOfLoading(error) {
  tell(error);
  said.set({ passing: isUnreachable(error) });
}

/** A part of the view says that the service does not answer: once is enough. Returns how to take it back. */
export function saidInView() {
  said.set(({ inView, ...others }) => ({ ...others, inView: inView + 1 }));
  return () => said.set(({ inView, ...others }) => ({ ...others, inView: inView - 1 }));
}

export function dismiss() {
  said.set({ alert: null });
}

/**
 * Words for an error: what happened, what can be done, and what support asks for.
 *
 * @param {unknown} error
 * @returns {Said}
 */
export function explain(error) {
  if (typeof error === "string") return { text: error, detail: "" };
  if (error instanceof ServiceError) return { text: sentenceOf(error), detail: detailOf(error) };
  if (error instanceof AccountError) return { text: t(`account.${error.reason}`), detail: "" };
  if (error instanceof RecordingError || error instanceof TranscriptError) {
    return { text: t(`problem.${error.code}`), detail: "" };
  }
  console.error(error instanceof Error ? error.name : "error");
  return { text: t("problem.unexpected"), detail: "" };
}

// Which text tells that the service does not take what a form has sent: an existing password is not to be chosen anew.
/** @type {Record<string, import("../texts/index.js").TextName>} */
const FIELDS = { email: "service.field.email", new_password: "service.field.password", password: "service.invalid_password" };

/** @param {ServiceError} error */
function sentenceOf({ code, fields, message, status }) {
  if (code === "unreachable" || code === "unreadable") return t("problem.unreachable");
  const field = code === "invalid_request" ? Object.keys(fields ?? {}).find((name) => name in FIELDS) : undefined;
  if (field !== undefined) return t(FIELDS[field]);
  const known = /** @type {import("../texts/index.js").TextName} */ (`service.${code}`);
  return t(known) ?? (status >= 500 ? t("problem.service") : t("problem.refused", { sentence: message }));
}

// Slips of the finger, with which nobody turns to support.
const SLIPS = ["invalid_credentials", "invalid_password"];

/** What support finds the call by; nothing where the service did not answer. @param {ServiceError} error */
const detailOf = ({ code, requestId }) => (requestId && !SLIPS.includes(code) ? t("problem.reference", { id: requestId }) : "");

/** Run something, saying what went wrong; resolves to whether it went well. */
export async function attempt(/** @type {() => Promise<unknown>} */ work) {
  try {
    dismiss();
    await work();
    return true;
  } catch (error) {
    tell(error);
    return false;
  }
}

/** The two regions, which stay in the page so that screen readers notice what comes into them. */
export function Messages() {
  const { status, alert: told, passing, inView } = useStore(said, (value) => value);
  const alert = passing && inView > 0 ? null : told;
  return html`
    <div class="messages">
      <p role="status" class=${status ? "said" : "silent"}>${status}</p>
      <div role="alert" class=${alert ? "said said-alert" : "silent"}>
        ${alert && html`
          <p>${alert.text} <small>${alert.detail}</small></p>
          <button type="button" class="plain" onClick=${dismiss}>${t("messages.close")}</button>
        `}
      </div>
    </div>
  `;
}
