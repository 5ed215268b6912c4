// Words that change with a number.

/** Return a function that writes a count with the right one of two forms, in `language`. */
export function plural(/** @type {string} */ language) {
  const rules = new Intl.PluralRules(language);
  const numbers = new Intl.NumberFormat(language);
  return (/** @type {number} */ count, /** @type {string} */ one, /** @type {string} */ other) =>
    `${numbers.format(count)} ${rules.select(count) === "one" ? one : other}`;
}
