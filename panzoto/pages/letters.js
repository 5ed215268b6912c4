// What these pages do: say it in the person's language, take the code out of the address, ask the service, and tell
// what it answered. Texts and looks are the console's, so that there is one place for each.

import { language, loadTexts, t } from "./index.js";

export { t };

export const part = (id) => document.getElementById(id);

/** Put the texts that the page's elements name in their places. */
function translate() {
  document.documentElement.lang = language;
  document.title = `${part("title").dataset.text ? t(part("title").dataset.text) : ""} · Panzoto`;
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = t(element.dataset.text);
  }
}

// The code that the link held, by which one that was typed is known.
let linked = "";

/** Return the code that the address holds, and take it out of there, so that neither history nor a bookmark keeps it. */
export function takeCode() {
  linked = new URLSearchParams(window.location.hash.slice(1)).get("code") ?? "";
  window.history.replaceState(null, "", window.location.pathname);
  return linked;
}

/** Return the sentence for a code that is refused: of a link that is over, or of what may be mistyped as well. */
export const refused = (code, ofLink, ofCode) => t(linked && code === linked ? ofLink : ofCode);

/** Say what happened: as a status where it went well, else as an alert. */
export function say(text, { well = false } = {}) {
  for (const [id, shown] of [["message", !well], ["status", well]]) {
    part(id).textContent = shown ? text : "";
    part(id).hidden = !shown || !text;
  }
}

/** Return {status, body} of one call; a service that cannot be reached has the status 0. */
export async function ask(path, body, token) {
  const headers = { "Content-Type": "application/json" };
  if (token) {
    headers.Authorization = `Bearer ${token}`;
  }
  try {
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), cache: "no-store" });
    const text = await answer.text();
    return { status: answer.status, wait: answer.headers.get("Retry-After"), body: text ? JSON.parse(text) : {} };
  } catch {
    return { status: 0, wait: null, body: {} };
  }
}

/** Return a sentence for an answer that is no success, with what support asks for. `sent` is the code that was sent. */
export function reason({ status, wait, body }, sent) {
  const sentence = sentenceOf(status, body, sent);
  const again = wait ? ` ${t("letters.wait", { seconds: wait })}` : "";
  const id = body.request_id && status >= 500 ? ` ${t("problem.reference", { id: body.request_id })}` : "";
  return sentence + again + id;
}

function sentenceOf(status, { code, fields }, sent) {
  if (status === 0) {
    return t("problem.unreachable");
  }
  if (code === "invalid_code") {
    return refused(sent, "letters.codeOver", "service.invalid_code");
  }
  if (code === "invalid_request" && fields?.new_password) {
    return t("service.field.password");
  }
  return t(`service.${code}`) ?? t("problem.service");
}

/** Show the way on to the console, where the service has one. */
export async function leadOn(way = "onward") {
  const answer = await fetch("/", { method: "HEAD", cache: "no-store" }).catch(() => null);
  // What is done meanwhile has another way.
  if (part(way)) part(way).hidden = answer?.ok !== true;
}

await loadTexts();
translate();
// Whoever came by mistake, or has no code after all, goes back.
leadOn("back");
