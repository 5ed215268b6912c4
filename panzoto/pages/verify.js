import { ask, leadOn, part, reason, say, t, takeCode } from "./letters.js";

let code = takeCode();

async function confirm() {
  part("submit").disabled = true;
  const answer = await ask("api/verify-email", { code });
  part("submit").disabled = false;
  if (answer.status === 204) {
    part("form").hidden = true;
    say(t("letters.confirmed"), { well: true });
    leadOn();
    return;
  }
  say(reason(answer, code));
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
  part("code").required = true;
  part("form").hidden = false;
}
