// Whether the service has another release of this page than the one that is open; a page of yesterday's goes on.

import { createStore, useStore } from "../store.js";
import { useEffect } from "../ui.js";

// How often a page that is seen looks; one that comes into sight looks at once, if the last look is so long ago.
const LOOK_MS = 10 * 60_000;

const MINE = /** @type {HTMLMetaElement | null} */ (document.querySelector("meta[name=panzoto-release]"))?.content;
const release = createStore({ changed: false });
let looked = Date.now();

async function look() {
  if (document.visibilityState !== "visible" || Date.now() - looked < LOOK_MS) return;
  looked = Date.now();
  try {
    const answer = await fetch("/", { method: "HEAD", cache: "no-store", redirect: "error" });
    const [, digest] = /"([0-9a-f]+)/.exec(answer.headers.get("ETag") ?? "") ?? [];
    if (answer.ok && digest !== undefined && digest !== MINE) release.set({ changed: true });
  } catch {
    // Without a network there is nothing to reload either.
  }
}

/** Whether there is another one. */
export function useRelease() {
  useEffect(() => {
    const timer = setInterval(look, LOOK_MS / 10);
    document.addEventListener("visibilitychange", look);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, []);
  return useStore(release, ({ changed }) => changed);
}
