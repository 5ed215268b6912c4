// htm's standalone module has no declarations of its own: it is preact, its hooks, and htm bound to them.

declare module "*/htm/preact/standalone.module.js" {
  export { Component, createContext, h, render } from "preact";
  export {
    useCallback,
    useContext,
    useDebugValue,
    useEffect,
    useErrorBoundary,
    useImperativeHandle,
    useLayoutEffect,
    useMemo,
    useReducer,
    useRef,
    useState,
  } from "preact/hooks";

  export function html(strings: TemplateStringsArray, ...values: unknown[]): import("preact").VNode;
}
