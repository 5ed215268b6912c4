// English.

import { plural } from "./plural.js";

export const count = plural("en");

export const en = {
  "download.begun": "The download has begun.",
  "download.byService": "This window cannot decrypt files of this size: the service decrypts it on the way.",
  "download.decrypting": "Decrypting …",
  "download.tooLarge":
    "This is too large to be saved from a private window. Open the console in an ordinary window for it.",
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
  "password.cancel": "Cancel",
  "password.missing": "Please enter your password.",
  "password.open": "Open",
  "password.upgrade": "Upgrade",
  "password.upgradeHint":
    "Upgrade: the service writes it anew, once, in today's format. From then on this browser opens it by itself, without the password.",
  "password.wrong": "This is not your password. Please try again.",
  "player.back": "Back 15 seconds",
  "player.bucketRefused": "The store did not give this recording out. Please try again in a moment.",
  "player.changed": "This recording keeps changing while it is played. Please try again in a moment.",
  "player.expired":
    "The time for which the service had opened this recording is over. Press Play and enter your password again.",
  "player.forward": "Forward 15 seconds",
  "player.gone": "The sound of this recording is no longer there.",
  "player.notice.converted":
    "No browser plays sound of this kind. The service decrypts it and turns it into one that they do, once you press Play.",
  "player.notice.sealed":
    "An older app recorded this. The service opens it with your password, once you press Play.",
  "player.notice.service":
    "This window cannot decrypt while playing, as private windows cannot: once you press Play, the service decrypts the recording for it.",
  "player.pause": "Pause",
  "player.play": "Play",
  "player.position": "Position",
  "player.positionOf": (/** @type {{ at: string, length: string }} */ { at, length }) => `${at} of ${length}`,
  "player.refused": "Your browser starts no sound by itself. Press Play.",
  "player.region": "Player",
  "player.replaced": "This recording was replaced meanwhile. Its newest state is opened.",
  "player.sealedWhy":
    "This was recorded by an older app. Only the service can open it, and needs your password for it. It decrypts the recording, and forgets the password with its answer.",
  "player.speed": "Speed",
  "player.times":
    null,
  "player.unplayable":
    "This browser cannot play sound of this kind. You can download it and play it elsewhere.",
  "player.unreachable": "The sound does not arrive. Check your connection and press Play.",
  "player.volume": "Volume",
  "player.waitsForNetwork": "The connection was lost. It goes on by itself as soon as it is back.",
  "player.waveform": "Waveform",
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
