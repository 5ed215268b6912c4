// What somebody has typed at the entrance, which goes along when they turn to another of its forms. No password.

import { createStore } from "../../store.js";

export const typed = createStore({ email: "", stay: false });
