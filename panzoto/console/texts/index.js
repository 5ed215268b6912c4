// What a person reads, in their language. Every text stands in en.js and de.js under the same name.

/** @typedef {keyof typeof import("./en.js").en} TextName */
/** @typedef {Record<string, string | number>} Values */
/** @typedef {Record<TextName, string | ((values: any) => string)>} Texts */

/** @type {Record<string, () => Promise<Texts>>} */
const LANGUAGES = {
  en: async () => (await import("./en.js")).en,
  de: async () => (await import("./de.js")).de,
};

/** The language of all texts: the first that the browser's owner asks for and we have. */
export const language =
  navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag in LANGUAGES) ?? "en";

/** @type {Texts} */
let texts;

/** Fetch the texts; nothing is drawn before. */
export async function loadTexts() {
  texts = await LANGUAGES[language]();
}

/** The locale of dates and numbers: the person's own way of writing them where it is of that language. */
export const locale =
  navigator.languages.find((tag) => tag.toLowerCase().startsWith(language)) ?? language;

/**
 * Return the text of this name, with `values` in their places.
 *
 * @param {TextName} name
 * @param {Values} [values]
 */
export function t(name, values = {}) {
  const text = texts[name];
  return typeof text === "function" ? text(values) : text;
}
