// One recording that an address names: from the list, or asked for by itself.

import { ServiceError } from "../library/errors.js";
import { useStore } from "../store.js";
import { useEffect, useState } from "../ui.js";
import { fetchRecording, isErased, recordingOf, recordings } from "./store.js";

/** @import { Recording } from "./known.js" */

/**
 * The recording of this id, and why there is none: `missing` where the service knows none, else what went
 * wrong.
 *
 * @param {string} fileId
 * @returns {{ recording: Recording | null, missing: boolean, failure: unknown, again: () => void }}
 */
export function useRecording(fileId) {
  const recording = useStore(recordings, () => recordingOf(fileId));
  const [failure, setFailure] = useState(/** @type {unknown} */ (null));
  const [attempts, setAttempts] = useState(0);
  const erased = isErased(fileId);
  const wanted = recording === null && !erased;
  useEffect(() => {
    if (!wanted) return;
    let left = false;
    setFailure(null);
    fetchRecording(fileId).catch((error) => left || setFailure(error));
    return () => {
      left = true;
    };
  }, [fileId, wanted, attempts]);
  const missing = erased || (failure instanceof ServiceError && failure.status === 404);
  return { recording, missing, failure: wanted ? failure : null, again: () => setAttempts(attempts + 1) };
}
