// Navigations that become downloads. This module is the first to listen, so whoever asks before the page is left is
// not even called: nothing is left.

// A navigation that has not become a download by then has failed.
const NAVIGATING_MS = 2_000;

let navigating = false;

addEventListener("beforeunload", (event) => navigating && event.stopImmediatePropagation());

/** Go to an address that the worker answers with a file. @param {string} address */
export function fetchFile(address) {
  navigating = true;
  setTimeout(() => (navigating = false), NAVIGATING_MS);
  location.assign(address);
}
