// Deutsch.

import { plural } from "./plural.js";

export const count = plural("de");

export const de = {
  "download.begun": "Der Download hat begonnen.",
  "download.byService":
    "Dieses Fenster kann so große Dateien nicht entschlüsseln: Der Dienst entschlüsselt sie unterwegs.",
  "download.decrypting": "Wird entschlüsselt …",
  "download.tooLarge":
    "Das ist zu groß, um es aus einem privaten Fenster zu speichern. Öffnen Sie die Konsole dafür in einem gewöhnlichen Fenster.",
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
  "password.cancel": "Abbrechen",
  "password.missing": "Bitte geben Sie Ihr Passwort ein.",
  "password.open": "Öffnen",
  "password.upgrade": "Umstellen",
  "password.upgradeHint":
    "Umstellen: Der Dienst schreibt die Aufnahme einmal im heutigen Format neu. Danach öffnet dieser Browser sie selbst, ohne Passwort.",
  "password.wrong": "Das ist nicht Ihr Passwort. Bitte versuchen Sie es noch einmal.",
  "player.back": "15 Sekunden zurück",
  "player.bucketRefused":
    "Der Speicher hat diese Aufnahme nicht herausgegeben. Bitte versuchen Sie es gleich noch einmal.",
  "player.changed":
    "Diese Aufnahme ändert sich, während sie abgespielt wird. Bitte versuchen Sie es gleich noch einmal.",
  "player.expired":
    "Die Zeit, für die der Dienst diese Aufnahme geöffnet hatte, ist um. Drücken Sie auf Abspielen und geben Sie Ihr Passwort noch einmal ein.",
  "player.forward": "15 Sekunden vor",
  "player.gone": "Der Ton dieser Aufnahme ist nicht mehr da.",
  "player.notice.converted":
    "Ton dieser Art spielt kein Browser ab. Der Dienst entschlüsselt ihn und wandelt ihn um, sobald Sie auf Abspielen drücken.",
  "player.notice.sealed":
    "Das hat eine ältere App aufgenommen. Der Dienst öffnet es mit Ihrem Passwort, sobald Sie auf Abspielen drücken.",
  "player.notice.service":
    "Dieses Fenster kann beim Abspielen nicht entschlüsseln, wie alle privaten Fenster: Sobald Sie auf Abspielen drücken, entschlüsselt der Dienst die Aufnahme.",
  "player.pause": "Anhalten",
  "player.play": "Abspielen",
  "player.position": "Position",
  "player.positionOf":
    null,
  "player.refused": "Ihr Browser beginnt nicht von selbst mit Ton. Drücken Sie auf Abspielen.",
  "player.region": "Player",
  "player.replaced": "Diese Aufnahme wurde inzwischen ersetzt. Ihr neuester Stand wird geöffnet.",
  "player.sealedWhy":
    "Das hat eine ältere App aufgenommen. Nur der Dienst kann es öffnen und braucht dazu Ihr Passwort. Er entschlüsselt die Aufnahme und vergisst das Passwort mit seiner Antwort.",
  "player.speed": "Tempo",
  "player.times":
    null,
  "player.unplayable":
    "Dieser Browser kann Ton dieser Art nicht abspielen. Sie können ihn herunterladen und anderswo hören.",
  "player.unreachable": "Der Ton kommt nicht an. Prüfen Sie Ihre Verbindung und drücken Sie auf Abspielen.",
  "player.volume": "Lautstärke",
  "player.waitsForNetwork":
    "Die Verbindung ist abgebrochen. Es geht von selbst weiter, sobald sie wieder da ist.",
  "player.waveform": "Wellenform",
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
