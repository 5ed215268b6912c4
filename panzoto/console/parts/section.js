// A part of a view under a heading of its own, by which it is found.

import { html, useRef } from "../ui.js";

let counted = 0;

/** @param {{ title: string, class?: string, children?: any }} props */
export function Section({ title, children, class: kind = "" }) {
  const id = useRef(`section-${++counted}`).current;
  return html`
    <section class=${`part ${kind}`} aria-labelledby=${id}>
      <h2 id=${id}>${title}</h2>
      ${children}
    </section>
  `;
}
