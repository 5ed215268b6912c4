// What the tab is called: by its view, and by when a recording was made. Browsers keep these names in their
// history, on the disk, so that titles that people gave do not stand there.

import { useEffect } from "../ui.js";

const NAME = "Panzoto";

/** Call the tab after a view while it is shown; it is nobody's before and afterwards. @param {string} view */
export function useTabTitle(view) {
  useEffect(() => {
    document.title = view ? `${view} – ${NAME}` : NAME;
    return () => {
      document.title = NAME;
    };
  }, [view]);
}
