import { ask, part, reason, say, takeCode } from "./letters.js";

let code = takeCode();

function done(started_over) {
  part("form").remove();
  say(
    started_over
      ? "Your password is changed, and the account begins anew. Sign in with it in your app, and make a recovery key."
      : "Your password is changed, and everything opens with it. Sign in with it in your app.",
  );
}

async function send(discard) {
  const wanted = { code: code || part("code").value.trim(), new_password: part("password").value };
  const key = part("recovery-key").value.trim();
  if (discard) {
    wanted.discard_recordings = true;
  } else if (key) {
    wanted.recovery_key = key;
  }
  say("");
  for (const button of document.querySelectorAll("button")) {
    button.disabled = true;
  }
  const answer = await ask("api/password/reset", wanted);
  if (answer.status === 200) {
    done(!key || discard);
    // This page is no device that stays signed in.
    await ask("api/logout", {}, answer.body.token);
    return;
  }
  for (const button of document.querySelectorAll("button")) {
    button.disabled = false;
  }
  if (answer.body.code === "recordings_would_be_lost") {
    part("loss").hidden = false;
    say("There are recordings in this account. Please enter your recovery key, so that they go on opening.");
    part("recovery-key").focus();
    return;
  }
  if (answer.body.code === "invalid_code") {
    code = "";
    part("code-part").hidden = false;
  }
  say(answer.body.code === "recovery_failed" ? "This is not the recovery key of this account." : reason(answer));
}

function question(asked) {
  part("question").hidden = !asked;
  part("loss").hidden = asked;
  part("submit").hidden = asked;
}

part("form").addEventListener("submit", (event) => {
  event.preventDefault();
  send(false);
});
part("show").addEventListener("change", () => {
  part("password").type = part("show").checked ? "text" : "password";
});
part("discard").addEventListener("click", () => question(true));
part("keep").addEventListener("click", () => question(false));
part("give-up").addEventListener("click", () => {
  question(false);
  if (part("form").reportValidity()) {
    send(true);
  }
});

part("code-part").hidden = Boolean(code);
part("form").hidden = false;
