/** A phone's day with openapi-fetch and the types of openapi-typescript: `story-fetch URL EMAIL PASSWORD PLAIN`. */
import { readFile } from "node:fs/promises";
import createClient from "openapi-fetch";
import { encrypted, same, settable, there } from "./encrypting.js";
import type { paths } from "./generated/paths.js";

const [url, email, password, path] = process.argv.slice(2) as [string, string, string, string];
const plain = new Uint8Array(await readFile(path));
const anybody = createClient<paths>({ baseUrl: url });

const registered = await anybody.POST("/api/register", { body: { email, password } });
there(registered.data, registered.error);
const again = await anybody.POST("/api/register", { body: { email, password } });
same(again.error?.code, "user_exists");
const login = await anybody.POST("/api/login", { body: { email, password, device_name: null } });
const account = there(login.data, login.error);
const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${account.token}` } });

const body = await encrypted(password, account.key_salt, plain);
const announced = await client.POST("/api/uploads", { body: { file_size: body.length, client_id: "the-first" } });
const { file_id, upload } = there(announced.data, announced.error);
const target = there(upload, announced);
const put = await fetch(there(target.url, target), {
  method: there(target.method, target),
  headers: settable(there(target.headers, target)),
  body,
});
same(put.status, 200);
const done = await client.POST("/api/uploads/{file_id}/complete", { params: { path: { file_id } }, body: {} });
same(there(done.data, done.error).audio_file.status, "stored");

const list = await client.GET("/api/user/audio-files", { params: { query: { limit: 10 } } });
same(there(list.data, list.error).audio_files.map((one) => one.file_id), [file_id]);
const opened = await client.POST("/api/decrypt-audio", { body: { password, file_id } });
const ticket = there(there(opened.data, opened.error).download_url.split("/").at(-1), opened);
const heard = await anybody.GET("/api/playback/{ticket}", { params: { path: { ticket } }, parseAs: "arrayBuffer" });
if (!Buffer.from(there(heard.data, heard.error) as unknown as ArrayBuffer).equals(plain)) {
  throw new Error("what was heard is not what was recorded");
}
