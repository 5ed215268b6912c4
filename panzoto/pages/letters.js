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

/** Return the code that the address holds, and take it out of there, so that neither history nor a bookmark keeps it. */
export function takeCode() {
  const code = new URLSearchParams(window.location.hash.slice(1)).get("code") ?? "";
  window.history.replaceState(null, "", window.location.pathname);
  return code;
}

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

/** Return a sentence for an answer that is no success, with what support asks for. */
export function reason({ status, wait, body }) {
  const sentence = sentenceOf(status, body);
  const again = wait ? ` ${t("letters.wait", { seconds: wait })}` : "";
  const id = body.request_id && status >= 500 ? ` ${t("problem.reference", { id: body.request_id })}` : "";
  return sentence + again + id;
}

function sentenceOf(status, { code, fields }) {
  if (status === 0) {
    return t("problem.unreachable");
  }
  if (code === "invalid_code") {
    return t("letters.codeOver");
  }
  if (code === "invalid_request" && fields?.new_password) {
    return t("service.field.password");
  }
  return t(`service.${code}`) ?? t("problem.service");
}

/** Lead on to the console, where the service has one. */
export async function leadOn() {
  const answer = await fetch("/", { method: "HEAD", cache: "no-store" }).catch(() => null);
  part("onward").hidden = answer?.ok !== true;
}

await loadTexts();
translate();
