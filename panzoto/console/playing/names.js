// Names for files that are saved: a title or a time, such as every system's disks take.

// With its ending, and in any script, below the 255 bytes of usual file systems.
const MOST_BYTES = 200;
// What one system or another forbids in names, or takes for a folder.
const FORBIDDEN = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069"*/:<>?\\|]+/g;

/**
 * The name of a file without its ending.
 *
 * @param {string} name
 * @param {string | Date} at when it was recorded: the name of what has none
 */
export const stemOf = (name, at) => shortened(cleaned(name) || timeName(new Date(at)));

/** @param {string} text */
const cleaned = (text) => text.replace(FORBIDDEN, " ").replace(/\s+/g, " ").trim().replace(/^\.+/, "").trim();

/** `2026-08-03 14.05`, in the browser's zone: such names sort by time. @param {Date} at */
function timeName(at) {
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  const day = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join("-");
  return `${day} ${two(at.getHours())}.${two(at.getMinutes())}`;
}

/** @param {string} name */
function shortened(name) {
  let [short, size] = ["", 0];
  for (const sign of name) {
    size += new TextEncoder().encode(sign).length;
    if (size > MOST_BYTES) break;
    short += sign;
  }
  return short.trimEnd();
}
