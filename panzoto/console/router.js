// Which view is shown, by the fragment of the address: `#recordings`, `#recording/<file_id>`. It never holds a text.

import { createStore } from "./store.js";

/** @typedef {{ view: string, id: string }} Route */

const WORD = /^[a-z-]+$/;
const ID = /^[0-9a-zA-Z-]{1,64}$/;

/** @returns {Route} */
function read() {
  const [view, id = ""] = location.hash.slice(1).split("/", 2);
  return { view: WORD.test(view) ? view : "recordings", id: ID.test(id) ? id : "" };
}

export const route = createStore(read());

addEventListener("hashchange", () => route.set(read()));

/** Return the address of a view within the page. */
export const addressOf = (/** @type {string} */ view, id = "") => (id ? `#${view}/${id}` : `#${view}`);

/** Show another view; back leads to the one before. */
export function go(/** @type {string} */ view, id = "") {
  location.hash = addressOf(view, id);
}

/** Show another view in place of this one. */
export function goInstead(/** @type {string} */ view, id = "") {
  location.replace(addressOf(view, id));
}
