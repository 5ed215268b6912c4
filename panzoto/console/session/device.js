// By what name a person finds this browser again among their sessions: "Firefox on Linux".

const BROWSERS = /** @type {const} */ ([
  ["Firefox", /Firefox\//],
  ["Edge", /Edg\//],
  ["Opera", /OPR\//],
  ["Chrome", /Chrome\//],
  ["Safari", /Safari\//],
]);
const SYSTEMS = /** @type {const} */ ([
  ["Android", /Android/],
  ["iPhone", /iPhone/],
  ["iPad", /iPad/],
  ["Windows", /Windows/],
  ["macOS", /Mac OS X/],
  ["ChromeOS", /CrOS/],
  ["Linux", /Linux/],
]);

/** @param {readonly (readonly [string, RegExp])[]} names @param {string} agent */
const first = (names, agent) => names.find(([, pattern]) => pattern.test(agent))?.[0];

export function deviceName(agent = navigator.userAgent) {
  return `${first(BROWSERS, agent) ?? "Browser"} on ${first(SYSTEMS, agent) ?? "another system"}`;
}
