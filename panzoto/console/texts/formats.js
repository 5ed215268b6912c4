// Dates, lengths and sizes as people write them, by Intl.

import { locale } from "./index.js";

const dayOf = new Intl.DateTimeFormat(locale, { weekday: "long", year: "numeric", month: "long", day: "numeric" });
const timeOf = new Intl.DateTimeFormat(locale, { timeStyle: "short" });
const momentOf = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const decimals = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
const listOf = new Intl.ListFormat(locale);
const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

/** `Monday, 3 August 2026`, in the browser's zone. */
export const day = (/** @type {string | Date} */ moment) => dayOf.format(new Date(moment));

/** `14:05`. */
export const time = (/** @type {string | Date} */ moment) => timeOf.format(new Date(moment));

/** `3 Aug 2026, 14:05`. */
export const moment = (/** @type {string | Date} */ at) => momentOf.format(new Date(at));

/** `1, 2 and 3`. */
export const list = (/** @type {string[]} */ items) => listOf.format(items);

export const number = (/** @type {number} */ value) => decimals.format(value);

/** `1:02:03`, or `2:03`; a dash where the length is not known. */
export function length(/** @type {number | null | undefined} */ milliseconds) {
  if (milliseconds === null || milliseconds === undefined || !Number.isFinite(milliseconds)) return "–";
  const seconds = Math.round(milliseconds / 1000);
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const tail = String(rest).padStart(2, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

/** `12.3 MB`: units of a thousand, as disks and plans are sold. */
export function bytes(/** @type {number} */ size) {
  const step = size < 1000 ? 0 : Math.min(Math.floor(Math.log10(size) / 3), UNITS.length - 1);
  // Bytes have no sign of their own, and the short word for many of them is that for one.
  const unitDisplay = step === 0 ? "long" : "short";
  const unit = { style: "unit", unit: UNITS[step], unitDisplay, maximumFractionDigits: step > 1 ? 1 : 0 };
  return new Intl.NumberFormat(locale, /** @type {Intl.NumberFormatOptions} */ (unit)).format(size / 1000 ** step);
}
