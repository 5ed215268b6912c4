import { ask, part, reason, say, takeCode } from "./letters.js";

let code = takeCode();

function askForCode() {
  part("code-part").hidden = false;
  part("code").required = true;
}

// Unlike a confirmation this waits for the person: programs that look at links in mail must not sign anybody out.
part("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  code = part("code").value.trim() || code;
  part("submit").disabled = true;
  const answer = await ask("api/email/undo", { code });
  part("submit").disabled = false;
  if (answer.status === 204) {
    part("form").hidden = true;
    say("Your account has its former address again, and every device is signed out. Now ask for a new password in your app.");
    return;
  }
  if (answer.body.code === "invalid_code") {
    say("This link has expired or was used before, or your account was taken back to an earlier address.");
    askForCode();
    return;
  }
  say(reason(answer));
});

if (!code) {
  askForCode();
}
part("form").hidden = false;
