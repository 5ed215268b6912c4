// Which view stands at which address. `open` ones need the vault; the others are for whoever comes.

import { SignIn } from "./entrance.js";
import { Recordings } from "./recordings.js";
import { html } from "../ui.js";

/** @typedef {(props: { id: string }) => any} View */

/** @type {Record<string, View>} */
export const OPEN_VIEWS = {
  recordings: Recordings,
};

/** @type {Record<string, View>} */
export const ENTRANCE_VIEWS = {
  "sign-in": () => html`<${SignIn} />`,
  "create-account": () => html`<${SignIn} making />`,
};
