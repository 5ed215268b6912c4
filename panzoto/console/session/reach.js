// Whether the service answers, as far as the calls of this page have told.

import { ServiceError } from "../library/errors.js";

let isLost = false;
/** @type {Set<() => void>} */
const waiting = new Set();

/** Whether a call failed because nobody answered it, or another in the service's place. @param {unknown} error */
export const isUnreachable = (error) =>
  error instanceof ServiceError &&
  (["unreachable", "unreadable"].includes(error.code) || [502, 504].includes(error.status));

/** Have `listener` told when the service answers again. Returns how to stop that. @param {() => void} listener */
export function onAnswerAgain(listener) {
  waiting.add(listener);
  return () => {
    waiting.delete(listener);
  };
}

/** Pass on what becomes of a call, and note whether it was answered. @template T @param {() => Promise<T>} asking */
export async function noting(asking) {
  try {
    const answer = await asking();
    answered();
    return answer;
  } catch (error) {
    if (isUnreachable(error)) isLost = true;
    else if (error instanceof ServiceError) answered();
    throw error;
  }
}

function answered() {
  if (!isLost) return;
  isLost = false;
  for (const listener of [...waiting]) listener();
}
