// Deutsch.

import { plural } from "./plural.js";

export const count = plural("de");

export const de = {
  "entrance.create": "Konto anlegen",
  "entrance.ended": "Diese Sitzung wurde beendet. Mit deinem Passwort meldest du dich wieder an; was du geschrieben hast, ist noch da.",
  "entrance.haveAccount": "Ich habe ein Konto",
  "entrance.locked": "Gesperrt",
  "entrance.lockedHint": "Deine Aufnahmen sind verschlossen. Dein Passwort öffnet sie wieder.",
  "entrance.opening": "Dein Tresor wird geöffnet …",
  "entrance.passwordHint": "Mindestens 8 Zeichen. Es ist der Schlüssel zu deinen Aufnahmen: Niemand kann es dir zurückgeben.",
  "entrance.signIn": "Anmelden",
  "entrance.stay": "Auf diesem Gerät angemeldet bleiben",
  "entrance.stayHint": "Nur auf einem Gerät, das dir allein gehört.",
  "entrance.unlock": "Entsperren",
  "field.email": "E-Mail",
  "field.password": "Passwort",
  "field.show": "Zeigen",
  "insecure.what": "Öffne sie über https, oder auf dem Rechner selbst unter seiner eigenen Adresse, etwa http://127.0.0.1:5000.",
  "insecure.why": "Diese Seite wurde über einfaches http geöffnet; dort bieten Browser weder Verschlüsselung noch Mikrofon.",
  "main.account": "Konto",
  "main.lock": "Sperren",
  "main.navigation": "Hauptmenü",
  "main.recordings": "Aufnahmen",
  "main.search": "Suche",
  "main.signOut": "Abmelden",
  "main.trash": "Papierkorb",
  "messages.close": "Schließen",
  "problem.at": (/** @type {{ time: string }} */ { time }) => `(${time})`,
  "problem.decryption_failed": "Das lässt sich mit deinen Schlüsseln nicht öffnen: Es ist beschädigt oder stammt von jemand anderem.",
  "problem.reference": (/** @type {{ id: string }} */ { id }) => `Kennung für Rückfragen: ${id}`,
  "problem.refused": (/** @type {{ sentence: string }} */ { sentence }) => `Der Dienst hat abgelehnt: ${sentence}.`,
  "problem.service": "Der Dienst hat eine Störung. Es ist nichts verloren; bitte versuche es gleich noch einmal.",
  "problem.unexpected": "In dieser Seite ist etwas schiefgegangen. Es ist nichts verloren; versuche es noch einmal oder lade die Seite neu.",
  "problem.unreachable": "Der Dienst ist nicht zu erreichen. Prüfe deine Verbindung und versuche es noch einmal.",
  "problem.unsupported_format": "Diese Art von Aufnahme kennt diese Seite noch nicht. Lade die Seite neu, um eine neuere zu bekommen.",
  "problem.vault": "Das Passwort öffnet deinen Tresor nicht.",
  "recordings.empty": "Noch nichts aufgenommen.",
  "recordings.title": "Aufnahmen",
  "service.invalid_credentials": "E-Mail oder Passwort stimmt nicht.",
};
