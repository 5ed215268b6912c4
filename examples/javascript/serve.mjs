#!/usr/bin/env node
// Serves browser.html and what it imports, and nothing else of this repository, to this machine alone:
//
//   node serve.mjs [PORT]

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname } from "node:path";

const ROOT = new URL("../../", import.meta.url);
const SERVED = /^\/(examples\/javascript|panzoto\/console\/library)\/([\w-]+\/)*[\w.-]+\.(html|m?js)$/;
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".mjs": "text/javascript" };

const server = createServer(async (request, response) => {
  const { port } = server.address();
  try {
    const { pathname } = new URL(request.url, "http://localhost");
    // Another name for this machine is how a page from elsewhere would read what is served here.
    const isOurs = [`127.0.0.1:${port}`, `localhost:${port}`].includes(request.headers.host);
    if (!isOurs || !SERVED.test(pathname)) throw new Error("not served");
    const content = await readFile(new URL(pathname.slice(1), ROOT));
    response.writeHead(200, { "Content-Type": TYPES[extname(pathname)], "Cache-Control": "no-store" });
    response.end(content);
  } catch {
    response.writeHead(404).end();
  }
});
server.listen(Number(process.argv[2] ?? 8080), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}/examples/javascript/browser.html`);
});
