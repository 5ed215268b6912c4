// The addresses that only the worker answers. What follows them is drawn at random and says nothing.

export const SOUND = "/console-sound/";
export const DOWNLOAD = "/console-download/";

/** What the service is told of who asks; playback addresses need nothing. @param {string} token @returns {Record<string, string>} */
export const authorization = (token) => (token === "" ? {} : { Authorization: `Bearer ${token}` });
