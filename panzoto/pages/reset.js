import { deviceName } from "./device.js";
import { ask, leadOn, part, reason, say, t, takeCode } from "./letters.js";

let code = takeCode();

function done(started_over) {
  part("form").remove();
  say(t(started_over ? "letters.begunAnew" : "letters.passwordChanged"), { well: true });
  leadOn();
}

function work(goesOn) {
  for (const button of document.querySelectorAll("button")) {
    button.disabled = goesOn;
  }
}

async function send(discard) {
  const wanted = {
    code: code || part("code").value.trim(),
    new_password: part("password").value,
    device_name: deviceName(),
  };
  const key = part("recovery-key").value.trim();
  if (discard) {
    wanted.discard_recordings = true;
  } else if (key) {
    wanted.recovery_key = key;
  }
  say("");
  work(true);
  const answer = await ask("api/password/reset", wanted);
  if (answer.status === 200) {
    done(!key || discard);
    // This page is no device that stays signed in.
    await ask("api/logout", {}, answer.body.token);
    return;
  }
  work(false);
  if (answer.body.code === "recordings_would_be_lost") {
    part("loss").hidden = part("other-way").hidden = false;
    say(t("service.recordings_would_be_lost"));
    part("recovery-key").focus();
    return;
  }
  if (answer.body.code === "invalid_code") {
    askForCode();
  }
  say(answer.body.code === "recovery_failed" ? t("letters.notThisKey") : reason(answer, wanted.code));
}

function askForCode() {
  code = "";
  part("code-part").hidden = false;
  part("code").required = true;
}

function question(asked) {
  part("question").hidden = !asked;
  part("loss").hidden = part("submit").hidden = part("other-way").hidden = asked;
}

part("form").addEventListener("submit", (event) => {
  event.preventDefault();
  send(false);
});
part("show").addEventListener("change", () => {
  part("password").type = part("show").checked ? "text" : "password";
});
part("discard").addEventListener("click", () => {
  question(true);
  // Whoever is not sure presses it by accident.
  part("keep").focus();
});
part("keep").addEventListener("click", () => {
  question(false);
  part("recovery-key").focus();
});
part("give-up").addEventListener("click", () => {
  question(false);
  if (part("form").reportValidity()) {
    send(true);
  }
});

if (!code) {
  askForCode();
}
part("form").hidden = false;
