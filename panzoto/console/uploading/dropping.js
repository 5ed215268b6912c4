// Files that are dropped on the page: a view's that wants them, and otherwise nobody's.

import { useLayoutEffect, useState } from "../ui.js";

/** @param {DragEvent} event */
const hasFiles = ({ dataTransfer }) => dataTransfer?.types.includes("Files") ?? false;

/** Keep the page where it is: by itself a browser leaves it for a file that nobody takes. */
export function stayWhenFilesAreDropped() {
  for (const name of /** @type {const} */ (["dragover", "drop"])) {
    addEventListener(name, (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      /** @type {DataTransfer} */ (event.dataTransfer).dropEffect = "none";
    });
  }
}

/**
 * Take files that are dropped anywhere on the page; returns whether some are held over it.
 *
 * @param {(files: File[]) => void} take
 */
export function useDrop(take) {
  const [dragging, setDragging] = useState(false);
  // Whoever sees the view may drop files at once, so it listens by the time it is drawn.
  useLayoutEffect(() => {
    const over = (/** @type {DragEvent} */ event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      /** @type {DataTransfer} */ (event.dataTransfer).dropEffect = "copy";
      setDragging(true);
    };
    const leave = (/** @type {DragEvent} */ event) => {
      if (event.relatedTarget === null) setDragging(false);
    };
    const dropped = (/** @type {DragEvent} */ event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setDragging(false);
      take([...(event.dataTransfer?.files ?? [])]);
    };
    addEventListener("dragover", over);
    addEventListener("dragleave", leave);
    addEventListener("drop", dropped);
    return () => {
      removeEventListener("dragover", over);
      removeEventListener("dragleave", leave);
      removeEventListener("drop", dropped);
    };
  }, []);
  return dragging;
}
