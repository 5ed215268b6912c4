// The list is found again where it was left.

import { route } from "../../router.js";
import { useEffect, useLayoutEffect, useRef } from "../../ui.js";

let left = 0;

// The browser would scroll before the view is drawn that it scrolls.
history.scrollRestoration = "manual";

/** How far the list was scrolled when it was left, in pixels. */
export const leftAt = () => left;

/**
 * Scroll to where the list was when it was left, once it is `ready`; and remember where it is.
 *
 * @param {boolean} ready
 */
export function useScrollKept(ready) {
  const done = useRef(false);
  useLayoutEffect(() => {
    if (!ready || done.current) return;
    done.current = true;
    scrollTo(0, left);
  }, [ready]);
  useEffect(() => {
    const remember = () => {
      if (done.current && route.get().view === "recordings") left = scrollY;
    };
    addEventListener("scroll", remember, { passive: true });
    return () => removeEventListener("scroll", remember);
  }, []);
}
