// The password of an account that was made a moment ago, so that its first recovery key does not ask for it again.

import { session } from "../../session/session.js";

const KEPT_MS = 5 * 60_000;

let password = "";
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** Remember it in memory, until it was used, the vault is locked or some minutes have passed. */
export function remember(/** @type {string} */ typed) {
  password = typed;
  clearTimeout(timer);
  timer = setTimeout(forgetPassword, KEPT_MS);
}

/** What is remembered; empty for nothing. */
export const remembered = () => password;

export function forgetPassword() {
  password = "";
  clearTimeout(timer);
}

session.subscribe(() => {
  if (session.get().state !== "open") forgetPassword();
});
