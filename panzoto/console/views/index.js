// Which view stands at which address. `open` ones need the vault; the others are for whoever comes.

import { html } from "../ui.js";
import { Account } from "./account/index.js";
import { CreateAccount } from "./entrance/create-account.js";
import { Forgotten } from "./entrance/forgotten.js";
import { Recover } from "./entrance/recover.js";
import { SignIn } from "./entrance/sign-in.js";
import { RecordingView } from "./recording/index.js";
import { Recordings } from "./recordings/index.js";
import { RecoveryKey } from "./recovery-key/index.js";
import { SittingView } from "./sitting.js";
import { Trash } from "./trash.js";

/** @typedef {(props: { id: string }) => any} View */

/** @type {Record<string, View>} */
export const OPEN_VIEWS = {
  recording: RecordingView,
  account: Account,
  "recovery-key": RecoveryKey,
  recordings: Recordings,
  sitting: SittingView,
  trash: Trash,
};

/** @type {Record<string, View>} */
export const ENTRANCE_VIEWS = {
  "create-account": CreateAccount,
  forgot: Forgotten,
  recover: Recover,
  "sign-in": SignIn,
};
