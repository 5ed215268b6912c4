// What both pages do: take the code out of the address, ask the service, and say what it answered.

export const part = (id) => document.getElementById(id);

/** Return the code that the address holds, and take it out of there, so that neither history nor a bookmark keeps it. */
export function takeCode() {
  const code = new URLSearchParams(window.location.hash.slice(1)).get("code") ?? "";
  window.history.replaceState(null, "", window.location.pathname);
  return code;
}

export function say(text) {
  part("message").textContent = text;
  part("message").hidden = !text;
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

/** Return a sentence for an answer that is no success. */
export function reason({ status, wait, body }) {
  if (status === 0) {
    return "The service cannot be reached right now. Please try again.";
  }
  if (body.code === "invalid_code") {
    return "This link has expired or was used before. Please ask for a new letter.";
  }
  const sentence = body.error ?? "Something went wrong. Please try again";
  return wait ? `${sentence} (in ${wait} seconds).` : `${sentence}.`;
}
