// Which view stands at which address. `open` ones need the vault; the others are for whoever comes.

import { SignIn } from "./entrance.js";
import { RecordingView } from "./recording/index.js";
import { Recordings } from "./recordings/index.js";
import { Search } from "./search.js";
import { SittingView } from "./sitting.js";
import { Trash } from "./trash.js";
import { html } from "../ui.js";

/** @typedef {(props: { id: string }) => any} View */

/** @type {Record<string, View>} */
export const OPEN_VIEWS = {
  recording: RecordingView,
  recordings: Recordings,
  search: Search,
  sitting: SittingView,
  trash: Trash,
};

/** @type {Record<string, View>} */
export const ENTRANCE_VIEWS = {
  "sign-in": () => html`<${SignIn} />`,
  "create-account": () => html`<${SignIn} making />`,
};
