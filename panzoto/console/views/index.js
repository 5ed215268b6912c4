// Which view stands at which address. `open` ones need the vault; the others are for whoever comes.

import { later } from "../later.js";
import { CreateAccount } from "./entrance/create-account.js";
import { SignIn } from "./entrance/sign-in.js";
import { Recordings } from "./recordings/index.js";

/** @typedef {(props: { id: string }) => any} View */

/** @type {Record<string, View>} */
export const OPEN_VIEWS = {
  account: later(async () => (await import("./account/index.js")).Account),
  recording: later(async () => (await import("./recording/index.js")).RecordingView),
  recordings: Recordings,
  "recovery-key": later(async () => (await import("./recovery-key/index.js")).RecoveryKey),
  search: later(async () => (await import("./search.js")).Search),
  sitting: later(async () => (await import("./sitting.js")).SittingView),
  trash: later(async () => (await import("./trash.js")).Trash),
};

/** @type {Record<string, View>} */
export const ENTRANCE_VIEWS = {
  "create-account": CreateAccount,
  forgot: later(async () => (await import("./entrance/forgotten.js")).Forgotten),
  recover: later(async () => (await import("./entrance/recover.js")).Recover),
  "sign-in": SignIn,
};
