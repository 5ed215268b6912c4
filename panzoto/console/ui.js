// The one module that knows which library draws the page: htm's standalone build of preact, its hooks and htm.

export {
  Component,
  createContext,
  h,
  html,
  render,
  useCallback,
  useContext,
  useEffect,
  useErrorBoundary,
  useLayoutEffect,
  useMemo,
  useReducer,
  useRef,
  useState,
} from "./node_modules/htm/preact/standalone.module.js";
