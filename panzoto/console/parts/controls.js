// What is pressed, wherever it stands in the page, and what it is called.

export const CONTROLS = "button, a[href], summary";

/** @param {Element} control */
export const nameOf = (control) => control.getAttribute("aria-label") ?? control.textContent ?? "";
