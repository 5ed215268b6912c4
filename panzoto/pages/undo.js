import { ask, leadOn, part, reason, refused, say, t, takeCode } from "./letters.js";

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
    say(t("letters.undone"), { well: true });
    leadOn();
    return;
  }
  if (answer.body.code === "invalid_code") {
    say(refused(code, "letters.undoOver", "letters.undoCodeOver"));
    askForCode();
    return;
  }
  say(reason(answer));
});

if (!code) {
  askForCode();
}
part("form").hidden = false;
