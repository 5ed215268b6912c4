// The calls against a real server on this machine, which misbehaves as it is told.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, afterEach, before, test } from "node:test";

import { ServiceError } from "../../../panzoto/console/library/errors.js";
import { patiently, patientBytes, patientFetch, Service } from "../../../panzoto/console/library/service.js";

/** What the server has been asked, and how it answers next: each answer is for one request. */
const asked = [];
const answers = [];
let server, address;

const json = (status, body, headers = {}) => (response) => {
  response.writeHead(status, { "Content-Type": "application/json", ...headers });
  response.end(JSON.stringify(body));
};
const refusal = (status, code, more = {}, headers = {}) =>
  json(status, { error: "A sentence", code, request_id: "request-1", ...more }, headers);
const text = (status, body) => (response) => response.writeHead(status, { "Content-Type": "text/html" }).end(body);
const hangUp = (response) => response.socket.destroy();
const hang = () => {};
const hangInside = (response) => {
  response.writeHead(200, { "Content-Type": "application/json", "Content-Length": 100 });
  response.write("{");
};
const cutInside = (response) => {
  response.writeHead(200, { "Content-Type": "application/json", "Content-Length": 100 });
  response.write('{"a":', () => response.socket.destroy());
};
const fine = json(200, { fine: true });

before(async () => {
  server = createServer((request, response) => {
    let body = "";
    request.on("data", (piece) => (body += piece));
    request.on("end", () => {
      const { method, url, headers } = request;
      asked.push({ method, url, headers, body });
      const answer = answers.shift() ?? text(599, "nothing was prepared");
      answer(response);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  address = `http://127.0.0.1:${server.address().port}`;
});

after(() => {
  server.closeAllConnections();
  server.close();
});

afterEach(() => {
  assert.equal(answers.length, 0, "not every answer was asked for");
  asked.length = 0;
});

// Nobody waits here, unless a test is about just that.
const QUICK = { wait: async () => {} };

/** Options under which nobody waits, and the seconds that were to be waited. */
function noted() {
  const seconds = [];
  return { seconds, options: { wait: async (some) => void seconds.push(some) } };
}

async function failure(work) {
  const error = await work.then(
    () => assert.fail("it succeeded"),
    (refused) => refused,
  );
  assert.ok(error instanceof ServiceError, String(error));
  return error;
}

// ---- One call ---------------------------------------------------------------------------------------------

test("a call sends JSON and the token, and returns the answer's JSON", async () => {
  answers.push(fine);
  const service = new Service(`${address}/`, { token: async () => "the token" });
  assert.deepEqual(await service.call("POST", "/api/search?x=1", { query: "sea" }), { fine: true });
  const [{ method, url, headers, body }] = asked;
  assert.deepEqual([method, url, body], ["POST", "/api/search?x=1", '{"query":"sea"}']);
  assert.equal(headers.authorization, "Bearer the token");
  assert.equal(headers["content-type"], "application/json");
  assert.equal(headers.accept, "application/json");
});

test("without a token and a body there is neither in the request", async () => {
  answers.push(fine);
  await new Service(address).call("GET", "/api/health", undefined, { headers: { "X-Request-ID": "mine" } });
  const [{ headers, body }] = asked;
  assert.deepEqual([headers.authorization, headers["content-type"], body], [undefined, undefined, ""]);
  assert.equal(headers["x-request-id"], "mine");
});

test("204 is null", async () => {
  answers.push((response) => response.writeHead(204).end());
  assert.equal(await new Service(address).call("DELETE", "/api/transcriptions/1"), null);
});

test("an error holds all that the answer says", async () => {
  const more = { fields: { title: "too long" }, usage: { bytes: 9 } };
  answers.push(refusal(413, "quota_exceeded", more, { "Retry-After": "7" }));
  const error = await failure(new Service(address).call("POST", "/api/uploads", {}));
  const { status, code, message, retryAfter, requestId, fields, body } = error;
  assert.deepEqual([status, code, message, retryAfter], [413, "quota_exceeded", "A sentence", 7]);
  assert.deepEqual([requestId, fields, body.usage], ["request-1", { title: "too long" }, { bytes: 9 }]);
  assert.equal(asked.length, 1);
});

test("a redirect is not followed, since it would carry the token elsewhere", async () => {
  answers.push((response) => response.writeHead(307, { Location: "/elsewhere" }).end());
  const service = new Service(address, { token: async () => "secret" });
  const error = await failure(service.call("GET", "/api/user", undefined, { attempts: 1 }));
  assert.equal(error.code, "unreachable");
  assert.deepEqual(asked.map(({ url }) => url), ["/api/user"]);
});

test("no error says a token, a password or an address", async () => {
  answers.push(text(400, "<h1>Bad</h1>"));
  const service = new Service(address, { token: async () => "token-of-mine" });
  const error = await failure(service.call("POST", "/api/decrypt-audio", { password: "pass-of-mine" }));
  assert.doesNotMatch(`${error.stack}${JSON.stringify(error)}`, /-of-mine|127\.0\.0\.1/);
});

// ---- Repeating --------------------------------------------------------------------------------------------

test("429 waits as long as Retry-After says, and a quarter more at most", async () => {
  answers.push(refusal(429, "too_many_requests", {}, { "Retry-After": "3" }), fine);
  const { seconds, options } = noted();
  await new Service(address).call("POST", "/api/login", {}, options);
  assert.ok(seconds[0] >= 3 && seconds[0] <= 3.75, String(seconds));
  assert.deepEqual([seconds.length, asked.length], [1, 2]);
});

test("a wait of more than two minutes is for a person to see, and not begun", async () => {
  answers.push(refusal(429, "too_many_requests", {}, { "Retry-After": "900" }));
  const error = await failure(new Service(address).call("POST", "/api/login", {}));
  assert.deepEqual([error.retryAfter, asked.length], [900, 1]);
});

test("without Retry-After waits double, and after six attempts it gives up", async () => {
  for (let attempt = 0; attempt < 6; attempt++) answers.push(refusal(503, "unavailable"));
  const { seconds, options } = noted();
  const error = await failure(new Service(address).call("GET", "/api/user", undefined, options));
  assert.deepEqual([error.status, error.code, asked.length], [503, "unavailable", 6]);
  [0.5, 1, 2, 4, 8].forEach((least, index) => {
    assert.ok(seconds[index] >= least && seconds[index] <= least * 1.25, `${seconds}`);
  });
  assert.equal(seconds.length, 5);
  // Phones that failed together shall not return together.
  assert.ok(seconds.some((some, index) => some !== 0.5 * 2 ** index));
});

for (const [what, answer] of [
  ["503", refusal(503, "busy")],
  ["429", refusal(429, "too_many_requests")],
  ["a proxy's 502", text(502, "<h1>Bad Gateway</h1>")],
  ["a proxy's 504", text(504, "<h1>Gateway Timeout</h1>")],
  ["a connection that ends before the answer", hangUp],
  ["an answer that is cut inside", cutInside],
  ["an answer that is no JSON", text(200, "<h1>Welcome to the hotel</h1>")],
  ["half a JSON", text(200, '{"fine":')],
]) {
  test(`${what} is asked again`, async () => {
    answers.push(answer, fine);
    assert.deepEqual(await new Service(address).call("PATCH", "/api/audio-file/1", {}, QUICK), { fine: true });
    assert.equal(asked.length, 2);
    assert.deepEqual(asked[0].body, asked[1].body);
  });
}

for (const [what, answer] of [
  ["no answer", hang],
  ["an answer that stops inside", hangInside],
]) {
  test(`${what} counts as lost after a while`, async () => {
    answers.push(answer, fine);
    const options = { ...QUICK, patience: 0.2 };
    assert.deepEqual(await new Service(address).call("GET", "/api/user", undefined, options), { fine: true });
    assert.equal(asked.length, 2);
  });
}

test("an answer that comes slowly, but comes, is not lost", async () => {
  const slowly = (response) => {
    const pieces = ['{"fine"', ":", "tr", "ue}"];
    const next = () => (pieces.length > 1 ? response.write(pieces.shift()) : response.end(pieces.shift()));
    const timer = setInterval(() => (pieces.length > 0 ? next() : clearInterval(timer)), 1000);
  };
  answers.push(slowly);
  // Shorter than the whole answer takes, and much longer than any pause in it.
  assert.deepEqual(await new Service(address).call("GET", "/api/user", undefined, { patience: 3 }), { fine: true });
  assert.equal(asked.length, 1);
});

test("a service that is not there is unreachable", async () => {
  const gone = createServer().listen(0, "127.0.0.1");
  await once(gone, "listening");
  const { port } = gone.address();
  gone.close();
  await once(gone, "close");
  const service = new Service(`http://127.0.0.1:${port}`);
  const error = await failure(service.call("GET", "/api/user", undefined, { ...QUICK, attempts: 2 }));
  assert.deepEqual([error.status, error.code], [0, "unreachable"]);
});

for (const [status, code] of [
  [400, "invalid_request"],
  [401, "invalid_credentials"],
  [403, "account_locked"],
  [404, "not_found"],
  [409, "conflict"],
  [413, "payload_too_large"],
  [422, "decryption_failed"],
  [500, "internal_error"],
  [503, "transcription_unavailable"],
]) {
  test(`${status} ${code} is not asked again`, async () => {
    answers.push(refusal(status, code));
    const error = await failure(new Service(address).call("POST", "/api/transcriptions", {}, QUICK));
    assert.deepEqual([error.status, error.code, asked.length], [status, code, 1]);
  });
}

for (const path of ["/api/password/forgot", "/api/user/password", "/api/user/email", "/api/password/reset"]) {
  test(`${path} is not sent again when its answer was lost, but when nothing was decided`, async () => {
    const service = new Service(address);
    for (const lost of [hangUp, cutInside, text(504, ""), text(200, "{")]) {
      answers.push(lost);
      await failure(service.call("POST", path, {}, QUICK));
    }
    assert.equal(asked.length, 4);
    answers.push(refusal(503, "busy"), refusal(429, "too_many_requests"), fine);
    assert.deepEqual(await service.call("POST", path, {}, QUICK), { fine: true });
  });
}

test("as many attempts are made as are asked for", async () => {
  answers.push(hangUp, hangUp, hangUp);
  await failure(new Service(address).call("GET", "/api/user", undefined, { ...QUICK, attempts: 3 }));
  assert.equal(asked.length, 3);
});

test("the first wait may be another", async () => {
  answers.push(hangUp, hangUp, fine);
  const { seconds, options } = noted();
  await new Service(address).call("GET", "/api/user", undefined, { ...options, firstWait: 0.1 });
  assert.ok(seconds[0] >= 0.1 && seconds[0] <= 0.125 && seconds[1] >= 0.2 && seconds[1] <= 0.25, `${seconds}`);
});

test("a wait is over when its time has come", async () => {
  answers.push(refusal(429, "too_many_requests", {}, { "Retry-After": "0" }), hangUp, fine);
  assert.deepEqual(await new Service(address).call("GET", "/api/user"), { fine: true });
});

// ---- Giving up --------------------------------------------------------------------------------------------

test("a signal ends a request that hangs, with its own reason", async () => {
  answers.push(hang);
  const ending = new AbortController();
  const reason = new Error("the person left");
  const call = new Service(address).call("GET", "/api/user", undefined, { signal: ending.signal });
  while (asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  ending.abort(reason);
  await assert.rejects(call, reason);
});

test("a signal ends a wait, and nothing is tried after it", async () => {
  const ending = new AbortController();
  const reason = new Error("the person left");
  let attempts = 0;
  const attempt = async () => {
    attempts += 1;
    setImmediate(() => ending.abort(reason));
    throw new ServiceError(429, "too_many_requests", "later", { retryAfter: 100 });
  };
  await assert.rejects(patiently(attempt, { signal: ending.signal }), reason);
  assert.equal(attempts, 1);
});

test("a signal that has ended already asks nothing", async () => {
  const call = new Service(address).call("GET", "/api/user", undefined, { signal: AbortSignal.abort() });
  await assert.rejects(call, { name: "AbortError" });
  assert.equal(asked.length, 0);
});

// ---- Tokens -----------------------------------------------------------------------------------------------

/** A service whose tokens are old until they are refreshed. */
function withTokens(fresh) {
  const refused = [];
  const service = new Service(address, {
    token: async () => "old",
    refused: async (used) => {
      refused.push(used);
      return fresh;
    },
  });
  return { service, refused };
}

const authorizations = () => asked.map(({ headers }) => headers.authorization);

for (const code of ["token_invalid", "token_missing"]) {
  test(`401 ${code} is asked once more with a fresh token`, async () => {
    const { service, refused } = withTokens("new");
    answers.push(refusal(401, code), fine);
    assert.deepEqual(await service.call("POST", "/api/search", { query: "sea" }), { fine: true });
    assert.deepEqual([refused, authorizations()], [["old"], ["Bearer old", "Bearer new"]]);
    assert.equal(asked[1].body, '{"query":"sea"}');
  });
}

test("a second 401 is told, and no third is asked for", async () => {
  const { service, refused } = withTokens("new");
  answers.push(refusal(401, "token_invalid"), refusal(401, "token_invalid"));
  const error = await failure(service.call("GET", "/api/user"));
  assert.deepEqual([error.code, refused.length, asked.length], ["token_invalid", 1, 2]);
});

test("where the session is over, the refusal is told", async () => {
  const { service, refused } = withTokens(null);
  answers.push(refusal(401, "token_invalid"));
  const error = await failure(service.call("GET", "/api/user"));
  assert.deepEqual([error.code, refused, asked.length], ["token_invalid", ["old"], 1]);
});

for (const code of ["invalid_password", "invalid_ticket", "invalid_refresh_token", "recovery_failed"]) {
  test(`401 ${code} says nothing of the token`, async () => {
    const { service, refused } = withTokens("new");
    answers.push(refusal(401, code));
    assert.equal((await failure(service.call("POST", "/api/search", {}))).code, code);
    assert.deepEqual(refused, []);
  });
}

test("a call without a token asks for none when it is refused", async () => {
  let asks = 0;
  const service = new Service(address, { token: async () => null, refused: async () => `${asks++}` });
  answers.push(refusal(401, "token_missing"));
  await failure(service.call("GET", "/api/user"));
  assert.equal(asks, 0);
});

test("a fresh token is patient as well", async () => {
  const { service } = withTokens("new");
  answers.push(refusal(401, "token_invalid"), refusal(503, "busy"), fine);
  assert.deepEqual(await service.call("GET", "/api/user", undefined, QUICK), { fine: true });
  assert.deepEqual(authorizations(), ["Bearer old", "Bearer new", "Bearer new"]);
});

test("what a refresh rejects with goes through", async () => {
  const offline = new ServiceError(0, "unreachable", "gone");
  const service = new Service(address, {
    token: async () => "old",
    refused: async () => {
      throw offline;
    },
  });
  answers.push(refusal(401, "token_invalid"));
  assert.equal(await failure(service.call("GET", "/api/user")), offline);
});

test("a register that finds its own first attempt logs in", async () => {
  answers.push(refusal(409, "user_exists"), json(200, { user_id: "1" }));
  assert.deepEqual(await new Service(address).register("a@example.com", "password", "Node"), { user_id: "1" });
  assert.deepEqual(asked.map(({ url }) => url), ["/api/register", "/api/login"]);
  assert.equal(JSON.parse(asked[1].body).device_name, "Node");
  answers.push(refusal(409, "user_exists"), refusal(401, "invalid_credentials"));
  assert.equal((await failure(new Service(address).register("a@example.com", "other"))).code, "user_exists");
});

// ---- The bucket -------------------------------------------------------------------------------------------

test("bytes that break off are fetched again, with options made anew", async () => {
  const body = Buffer.from("a whole segment");
  answers.push(cutInside, (response) => response.writeHead(206, { ETag: '"1"' }).end(body));
  let made = 0;
  const options = () => ({ headers: { Range: "bytes=0-14", "X-Attempt": String(++made) } });
  const { response, bytes } = await patientBytes(`${address}/object`, options, QUICK);
  assert.deepEqual([response.status, response.headers.get("ETag")], [206, '"1"']);
  assert.equal(Buffer.from(bytes).toString(), "a whole segment");
  assert.deepEqual(asked.map(({ headers }) => headers["x-attempt"]), ["1", "2"]);
});

test("the same bytes are put again, and an answer in XML is told by its status", async () => {
  answers.push(hangUp, text(412, "<Error><Code>PreconditionFailed</Code></Error>"));
  const put = () => ({ method: "PUT", body: new Blob(["sealed"]) });
  const error = await failure(patientFetch(`${address}/object`, put, QUICK));
  assert.deepEqual([error.status, error.code, error.body], [412, "unknown", null]);
  assert.deepEqual(asked.map(({ body }) => body), ["sealed", "sealed"]);
});

test("the caller may say what is repeated", async () => {
  answers.push(text(500, ""), text(409, ""), (response) => response.end("done"));
  const options = { ...QUICK, repeatable: ({ status }) => [409, 500].includes(status) };
  assert.equal(await (await patientFetch(`${address}/object`, undefined, options)).text(), "done");
});

test("a fault of our own is not repeated", async () => {
  let attempts = 0;
  const fault = new TypeError("a fault");
  const attempt = async () => {
    attempts += 1;
    throw fault;
  };
  await assert.rejects(patiently(attempt, QUICK), fault);
  assert.equal(attempts, 1);
});
