// Which files the console takes, and of what type they are.

/** Types by the endings of names, since browsers do not know all of them. */
export const TYPES = /** @type {Record<string, string>} */ ({
  "3gp": "audio/3gpp",
  "3gpp": "audio/3gpp",
  aac: "audio/aac",
  amr: "audio/amr",
  flac: "audio/flac",
  m4a: "audio/mp4",
  mp3: "audio/mpeg",
  mp4: "audio/mp4",
  oga: "audio/ogg",
  ogg: "audio/ogg",
  opus: "audio/ogg",
  wav: "audio/wav",
  webm: "audio/webm",
});
/** What the dialog for files offers. */
export const ACCEPTED = ["audio/*", ...Object.keys(TYPES).map((ending) => `.${ending}`)].join(",");
