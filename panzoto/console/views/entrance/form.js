// What all forms of the entrance are: a heading, fields, one button that shows its work, and ways to the others.

import { Button } from "../../parts/fields.js";
import { useTabTitle } from "../../parts/tab-title.js";
import { Countdown } from "../../parts/work.js";
import { t } from "../../texts/index.js";
import { html, useEffect, useRef } from "../../ui.js";

/**
 * @param {{
 *   title: string, button: string, working?: string, work: import("../../parts/work.js").Work, children?: any,
 *   beside?: any,
 * }} props `working`: what the button says while it works; `beside`: what stands under it
 */
export function Form({ title, button, working = t("entrance.opening"), work, children, beside }) {
  useTabTitle(title);
  const form = useRef(/** @type {HTMLFormElement | null} */ (null));
  useEffect(() => beginTyping(form.current), []);
  return html`
    <form class="entrance" onSubmit=${work.submit} aria-label=${title} ref=${form}>
      <h1>${title}</h1>
      ${children}
      <${Button} type="submit" class="primary" busy=${work.busy} off=${work.seconds > 0}>
        ${work.busy ? working : button}
      <//>
      <p role="status" class="unseen">${work.busy ? working : ""}</p>
      <${Countdown} ...${work} />
      ${beside && html`<div class="beside">${beside}</div>`}
    </form>
  `;
}

/**
 * Go to the first field in which nothing stands. The page, which goes to a new view's beginning otherwise, finds it
 * by its mark.
 *
 * @param {HTMLFormElement | null} form
 */
function beginTyping(form) {
  const fields = form?.querySelectorAll("input:not([type=checkbox], [hidden])") ?? [];
  const first = /** @type {HTMLInputElement[]} */ ([...fields]).find(({ value }) => value === "");
  if (first === undefined) return;
  first.autofocus = true;
  first.focus({ preventScroll: true });
}
