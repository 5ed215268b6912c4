// A component that is drawn anew only when what it is given has changed.

import { Component, h } from "../ui.js";

/** @param {any} before @param {any} after */
function alike(before, after) {
  if (Object.is(before, after)) return true;
  if (!Array.isArray(before) || !Array.isArray(after) || before.length !== after.length) return false;
  return before.every((value, index) => Object.is(value, after[index]));
}

/**
 * Wrap a component: while its properties are the same, lists by what they hold, it stays as it was drawn. Stores
 * that it uses redraw it all the same.
 *
 * @template {object} P
 * @param {(props: P) => any} view
 * @returns {any}
 */
export function whenChanged(view) {
  return class extends Component {
    /** @param {Record<string, any>} next */
    shouldComponentUpdate(next) {
      const before = /** @type {any} */ (this).props;
      return Object.keys(next).some((name) => !alike(before[name], next[name]));
    }

    render() {
      return h(/** @type {any} */ (view), /** @type {any} */ (this).props);
    }
  };
}
