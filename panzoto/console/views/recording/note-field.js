// A field of several lines, with its label and its fault.

import { html, useRef } from "../../ui.js";

let counted = 0;

/**
 * @param {{ label: string, value: string, change: (text: string) => void, fault?: string, hint?: string }}
 *   props
 */
export function NoteField({ label, value, change, fault = "", hint = "" }) {
  const id = useRef(`note-${++counted}`).current;
  const about = [hint && `${id}-hint`, fault && `${id}-fault`].filter(Boolean).join(" ");
  return html`
    <div class="field">
      <label for=${id}>${label}</label>
      <textarea id=${id} dir="auto" rows="4" value=${value} aria-describedby=${about || undefined}
        aria-invalid=${fault ? "true" : undefined}
        onInput=${(/** @type {any} */ event) => change(event.target.value)}></textarea>
      ${hint && html`<small id=${`${id}-hint`}>${hint}</small>`}
      ${fault && html`<small id=${`${id}-fault`} class="fault">${fault}</small>`}
    </div>
  `;
}
