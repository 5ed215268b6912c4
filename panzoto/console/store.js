// A value that several views show: whoever changes it tells all of them.

import { useEffect, useRef, useState } from "./ui.js";

/**
 * @template T
 * @typedef {{
 *   get: () => T,
 *   set: (change: Partial<T> | ((before: T) => T)) => void,
 *   subscribe: (listener: () => void) => () => void,
 * }} Store
 */

/**
 * Make a store. `set` takes the fields that change, or a function from the former value to the next.
 *
 * @template {object} T
 * @param {T} initial
 * @returns {Store<T>}
 */
export function createStore(initial) {
  let value = initial;
  /** @type {Set<() => void>} */
  const listeners = new Set();
  return {
    get: () => value,
    set: (change) => {
      value = typeof change === "function" ? change(value) : { ...value, ...change };
      for (const listener of [...listeners]) listener();
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/**
 * Return what `select` picks of a store, and draw anew when it becomes another.
 *
 * @template T, P
 * @param {Store<T>} store
 * @param {(value: T) => P} select
 * @returns {P}
 */
export function useStore(store, select) {
  const [, redraw] = useState(0);
  const picked = select(store.get());
  const last = useRef({ picked, select });
  last.current = { picked, select };
  useEffect(() => {
    const look = () => {
      if (!Object.is(last.current.select(store.get()), last.current.picked)) redraw((count) => count + 1);
    };
    look();
    return store.subscribe(look);
  }, [store]);
  return picked;
}
