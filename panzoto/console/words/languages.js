// Languages that can be asked for, by their two letters (ISO 639-1), named as the reader names them.

import { locale } from "../texts/index.js";

// Those that Whisper was trained on most, which other engines know as well.
const CODES =
  "af ar az be bg bs ca cs cy da de el en es et fa fi fr gl he hi hr hu hy id is it ja kk kn ko lt lv mi " +
  "mk mr ms ne nl no pl pt ro ru sk sl sr sv sw ta th tl tr uk ur vi zh";

const names = new Intl.DisplayNames([locale], { type: "language" });

/** What a language is called; its code, where that is none. @param {string} code */
export function languageName(code) {
  try {
    return names.of(code) ?? code;
  } catch {
    return code;
  }
}

/** Codes and names: those that this reader reads, then all others by their names. */
export const languages = () => {
  const own = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase());
  const order = new Intl.Collator(locale);
  const rankOf = (/** @type {string} */ code) => (own.includes(code) ? own.indexOf(code) : own.length);
  return CODES.split(" ")
    .map((code) => ({ code, name: languageName(code), rank: rankOf(code) }))
    .sort((one, other) => one.rank - other.rank || order.compare(one.name, other.name));
};
