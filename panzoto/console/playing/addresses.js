// The addresses that only the worker answers. What follows them is drawn at random and says nothing.

export const SOUND = "/console-sound/";
export const DOWNLOAD = "/console-download/";
