// How long a recording is, in words where that is not known.

import { length } from "../texts/formats.js";
import { t } from "../texts/index.js";

/**
 * `2:03`; a sentence in place of the dash, which no screen reader says.
 *
 * @param {number | null} milliseconds
 */
export const spokenLength = (milliseconds) =>
  milliseconds === null ? t("recordings.unknownLength") : length(milliseconds);
