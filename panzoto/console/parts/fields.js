// Fields of forms, each with its label, its hint and its fault.

import { html, useRef, useState } from "../ui.js";
import { t } from "../texts/index.js";

let counted = 0;

/**
 * One labelled text field. Everything in `rest` goes to the input itself.
 *
 * @param {{
 *   label: string, value: string, change: (text: string) => void, hint?: string, fault?: string,
 *   type?: string, [rest: string]: any,
 * }} props
 */
export function Field({ label, value, change, hint = "", fault = "", type = "text", ...rest }) {
  const id = useRef(`field-${++counted}`).current;
  const about = [hint && `${id}-hint`, fault && `${id}-fault`].filter(Boolean).join(" ");
  return html`
    <div class="field">
      <label for=${id}>${label}</label>
      <input id=${id} type=${type} value=${value} aria-describedby=${about || undefined}
        aria-invalid=${fault ? "true" : undefined} onInput=${(/** @type {any} */ event) => change(event.target.value)}
        ...${rest} />
      ${hint && html`<small id=${`${id}-hint`}>${hint}</small>`}
      ${fault && html`<small id=${`${id}-fault`} class="fault">${fault}</small>`}
    </div>
  `;
}

/** A password's field, which can be shown. @param {{ label: string, value: string, change: (text: string) => void, [rest: string]: any }} props */
export function PasswordField(props) {
  const [shown, setShown] = useState(false);
  return html`
    <div class="password">
      <${Field} autocapitalize="none" autocorrect=${false} spellcheck=${false} ...${props} type=${shown ? "text" : "password"} />
      <button type="button" class="plain" aria-pressed=${shown} aria-label=${t("field.showPassword")}
        onClick=${() => setShown(!shown)}>
        ${t("field.show")}
      </button>
    </div>
  `;
}

/** @param {{ label: string, checked: boolean, change: (checked: boolean) => void, hint?: string }} props */
export function Checkbox({ label, checked, change, hint = "" }) {
  const id = useRef(`field-${++counted}`).current;
  return html`
    <div class="choice">
      <input id=${id} type="checkbox" checked=${checked} aria-describedby=${hint ? `${id}-hint` : undefined}
        onChange=${(/** @type {any} */ event) => change(event.target.checked)} />
      <label for=${id}>${label}</label>
      ${hint && html`<small id=${`${id}-hint`}>${hint}</small>`}
    </div>
  `;
}

/**
 * A button that shows that its work goes on, and cannot be pressed again meanwhile. It keeps the focus, which one
 * that is disabled would lose.
 *
 * @param {{ busy?: boolean, off?: boolean, onClick?: (event: Event) => void, children?: any, [rest: string]: any }}
 *   props `off`: it cannot be pressed now for another reason
 */
export function Button({ busy = false, off = false, onClick, children, ...rest }) {
  const press = (/** @type {Event} */ event) => {
    if (busy || off) event.preventDefault();
    else onClick?.(event);
  };
  return html`
    <button type="button" aria-busy=${busy} aria-disabled=${busy || off ? "true" : undefined} onClick=${press} ...${rest}>
      ${children}
    </button>
  `;
}
