// The work of a form: done once at a time, told when it fails, and held back as long as the service asks for.

import { ServiceError } from "../library/errors.js";
import { length } from "../texts/formats.js";
import { t } from "../texts/index.js";
import { html, useEffect, useState } from "../ui.js";
import { announce, dismiss, tell } from "./messages.js";

/**
 * @typedef {{
 *   busy: boolean, seconds: number, submit: (event?: Event) => Promise<void>,
 * }} Work `busy`: it goes on; `seconds`: so long the service wants to be left alone, 0 for not at all
 */

/**
 * Hold a form's work. `submit` runs it, unless it runs already or has to wait, and says what went wrong.
 *
 * @param {() => Promise<unknown>} work
 * @returns {Work}
 */
export function useWork(work) {
  const [busy, setBusy] = useState(false);
  const [until, setUntil] = useState(0);
  const seconds = useSecondsUntil(until);
  const submit = async (/** @type {Event | undefined} */ event) => {
    event?.preventDefault();
    if (busy || seconds > 0) return;
    setBusy(true);
    dismiss();
    try {
      await work();
    } catch (error) {
      tell(error);
      if (error instanceof ServiceError && error.retryAfter) setUntil(Date.now() + error.retryAfter * 1000);
    } finally {
      setBusy(false);
    }
  };
  return { busy, seconds, submit };
}

/** Count down, and say when it is over. @param {number} until a moment in milliseconds; 0 for none */
function useSecondsUntil(until) {
  const left = () => Math.max(0, Math.ceil((until - Date.now()) / 1000));
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    setSeconds(left());
    if (until === 0) return;
    const timer = setInterval(() => {
      setSeconds(left());
      if (left() > 0) return;
      clearInterval(timer);
      dismiss();
      announce(t("wait.over"));
    }, 250);
    return () => clearInterval(timer);
  }, [until]);
  return seconds;
}

/** How long there is to wait, where there is. A timer is read when somebody asks, not every second. @param {Work} work */
export const Countdown = ({ seconds }) =>
  seconds > 0
    ? html`<p class="countdown" role="timer">${t("wait.left", { time: length(seconds * 1000) })}</p>`
    : null;
