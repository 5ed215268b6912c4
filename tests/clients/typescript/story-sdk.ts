/** A phone's day with the client that openapi-ts generates: `story-sdk URL EMAIL PASSWORD PLAIN`. */
import { readFile } from "node:fs/promises";
import { encrypted, same, settable, there } from "./encrypting.js";
import { client } from "./generated/sdk/client.gen.js";
import {
  announceUpload,
  completeUpload,
  decryptAudio,
  listAudioFiles,
  logIn,
  playRecording,
  registerAccount,
} from "./generated/sdk/index.js";

const [url, email, password, path] = process.argv.slice(2) as [string, string, string, string];
const plain = new Uint8Array(await readFile(path));
client.setConfig({ baseUrl: url });

const registered = await registerAccount({ body: { email, password } });
there(registered.data, registered.error);
const again = await registerAccount({ body: { email, password } });
same(again.error?.code, "user_exists");
const login = await logIn({ body: { email, password } });
const account = there(login.data, login.error);
client.setConfig({ baseUrl: url, auth: account.token });

const body = await encrypted(password, account.key_salt, plain);
const announced = await announceUpload({ body: { file_size: body.length, client_id: "the-first" } });
const { file_id, upload } = there(announced.data, announced.error);
const target = there(upload, announced);
const put = await fetch(there(target.url, target), {
  method: there(target.method, target),
  headers: settable(there(target.headers, target)),
  body,
});
same(put.status, 200);
const done = await completeUpload({ path: { file_id }, body: {} });
same(there(done.data, done.error).audio_file.status, "stored");

const list = await listAudioFiles({ query: { limit: 10 } });
same(there(list.data, list.error).audio_files.map((one) => one.file_id), [file_id]);
const opened = await decryptAudio({ body: { password, file_id } });
const ticket = there(there(opened.data, opened.error).download_url.split("/").at(-1), opened);
const heard = await playRecording({ path: { ticket }, parseAs: "arrayBuffer" });
if (!Buffer.from(there(heard.data, heard.error) as unknown as ArrayBuffer).equals(plain)) {
  throw new Error("what was heard is not what was recorded");
}
