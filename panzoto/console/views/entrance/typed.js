// What somebody has typed at the entrance, which goes along when they turn to another of its forms. No password.

import { tell } from "../../parts/messages.js";
import { session } from "../../session/session.js";
import { createStore } from "../../store.js";
import { t } from "../../texts/index.js";

export const typed = createStore({ email: "", stay: false });

/** Tell who wanted to stay signed in where the browser cannot keep that. */
export function tellIfNotKept() {
  if (typed.get().stay && !session.get().stay) tell(t("entrance.notKept"));
}
