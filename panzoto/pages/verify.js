import { ask, part, reason, say, takeCode } from "./letters.js";

let code = takeCode();

async function confirm() {
  part("submit").disabled = true;
  const answer = await ask("api/verify-email", { code });
  part("submit").disabled = false;
  if (answer.status === 204) {
    part("form").hidden = true;
    say("Your address is confirmed. You can close this page.");
    return;
  }
  say(reason(answer));
  // What may succeed in a moment needs no other code.
  part("code-part").hidden = answer.body.code !== "invalid_code";
  part("code").required = !part("code-part").hidden;
  part("form").hidden = false;
}

part("form").addEventListener("submit", (event) => {
  event.preventDefault();
  code = part("code").value.trim() || code;
  confirm();
});

if (code) {
  confirm();
} else {
  part("form").hidden = false;
}
