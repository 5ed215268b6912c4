// Copying to the clipboard, which a browser may refuse, or not have: then it is said what can be done instead.

import { announce, tell } from "./messages.js";

/**
 * @param {string} text
 * @param {{ copied: string, refused: string, select?: Element | null }} say `select`: what shows the text, and is
 *   selected where the page may not copy it, since whoever reads it still may
 */
export async function copy(text, { copied, refused, select = null }) {
  try {
    await navigator.clipboard.writeText(text);
    announce(copied);
  } catch {
    if (select !== null) getSelection()?.selectAllChildren(select);
    tell(refused);
  }
}
