// English.

import { plural } from "./plural.js";

export const count = plural("en");

export const en = {
  "entrance.create": "Create account",
  "entrance.ended": "This session was ended. Enter your password to sign in again; what you typed is kept.",
  "entrance.haveAccount": "I have an account",
  "entrance.locked": "Locked",
  "entrance.lockedHint": "Your recordings are locked. Your password opens them again.",
  "entrance.opening": "Opening your vault …",
  "entrance.passwordHint": "At least 8 characters. It is the key to your recordings: nobody can give it back to you.",
  "entrance.signIn": "Sign in",
  "entrance.stay": "Stay signed in on this device",
  "entrance.stayHint": "Only on a device that is yours alone.",
  "entrance.unlock": "Unlock",
  "field.email": "Email",
  "field.password": "Password",
  "field.show": "Show",
  "insecure.what": "Open it over https, or on the machine itself at its loopback address, such as http://127.0.0.1:5000.",
  "insecure.why": "This page was opened over plain http, where browsers offer neither encryption nor a microphone.",
  "main.account": "Account",
  "main.lock": "Lock",
  "main.navigation": "Main",
  "main.recordings": "Recordings",
  "main.search": "Search",
  "main.signOut": "Sign out",
  "main.trash": "Trash",
  "messages.close": "Close",
  "problem.at": (/** @type {{ time: string }} */ { time }) => `(${time})`,
  "problem.decryption_failed": "This does not open with your keys: it is damaged, or was written by somebody else.",
  "problem.reference": (/** @type {{ id: string }} */ { id }) => `Reference for support: ${id}`,
  "problem.refused": (/** @type {{ sentence: string }} */ { sentence }) => `The service refused: ${sentence}.`,
  "problem.service": "The service has a problem. Nothing is lost; please try again in a moment.",
  "problem.unexpected": "Something went wrong in this page. Nothing is lost; please try again, or reload the page.",
  "problem.unreachable": "The service cannot be reached. Check your connection and try again.",
  "problem.unsupported_format": "This recording is of a kind that this page does not know yet. Reload the page for a newer one.",
  "problem.vault": "The password does not open your vault.",
  "recordings.empty": "Nothing recorded yet.",
  "recordings.title": "Recordings",
  "service.invalid_credentials": "The email or the password is wrong.",
};
