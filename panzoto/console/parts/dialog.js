// Dialogs: the browser's own, so that focus stays inside and comes back; Escape and the back button close them.

import { html, useEffect, useRef } from "../ui.js";

let counted = 0;
/** Dialogs that are open, the topmost last. @type {{ close: () => void }[]} */
const open = [];

addEventListener("popstate", () => {
  const top = open.at(-1);
  if (top !== undefined && history.state?.dialogs !== open.length) top.close();
});

/**
 * A modal dialog while it is drawn. `close` is asked for by Escape and by back, and draws it no more.
 *
 * @param {{ title: string, close: () => void, question?: boolean, children?: any, wide?: boolean }} props
 */
export function Dialog({ title, close, question = false, wide = false, children }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const id = useRef(`dialog-${++counted}`);
  const latest = useRef(close);
  latest.current = close;
  useEffect(() => {
    const dialog = /** @type {HTMLDialogElement} */ (element.current);
    const entry = { close: () => latest.current() };
    open.push(entry);
    history.pushState({ dialogs: open.length }, "");
    dialog.showModal();
    return () => {
      const deep = open.indexOf(entry) + 1;
      open.splice(deep - 1, 1);
      dialog.close();
      if (history.state?.dialogs === deep) history.back();
    };
  }, []);
  const cancel = (/** @type {Event} */ event) => {
    event.preventDefault();
    latest.current();
  };
  return html`
    <dialog ref=${element} class=${wide ? "wide" : ""} role=${question ? "alertdialog" : "dialog"}
      aria-labelledby=${id.current} onCancel=${cancel}>
      <h2 id=${id.current}>${title}</h2>
      ${children}
    </dialog>
  `;
}
