/** Opens and seals with npm's `hpke`: `both-ways.mjs FILE`, a JSON object in, another on the standard output. */
import { readFileSync } from "node:fs";
import * as HPKE from "hpke";

const asked = JSON.parse(readFileSync(process.argv[2], "utf8"));
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
const text = (some) => Buffer.from(some).toString("base64");
const info = ({ user_id, file_id }) => new TextEncoder().encode(`panzoto/v2/transcript\0${user_id}\0${file_id}`);

const suite = new HPKE.CipherSuite(HPKE.KEM_DHKEM_X25519_HKDF_SHA256, HPKE.KDF_HKDF_SHA256, HPKE.AEAD_AES_256_GCM);
const privateKey = await suite.DeserializePrivateKey(bytes(asked.private_key), true);
const publicKey = await suite.DeserializePublicKey(bytes(asked.public_key));
const pair = { privateKey, publicKey };

async function opened(one) {
  const sealed = bytes(one.sealed);
  try {
    return text(await suite.Open(pair, sealed.subarray(0, 32), sealed.subarray(32), { info: info(one) }));
  } catch (error) {
    if (error instanceof TypeError) throw error;
    return null;
  }
}

async function sealed(one) {
  const made = await suite.Seal(publicKey, bytes(one.plain), { info: info(one) });
  return text(Buffer.concat([made.encapsulatedSecret, made.ciphertext]));
}

console.log(
  JSON.stringify({
    opened: await Promise.all(asked.open.map(opened)),
    sealed: await Promise.all(asked.seal.map(sealed)),
  }),
);
