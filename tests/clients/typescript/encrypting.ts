/** How the earlier phones encrypt: PBKDF2 over the password, then one AES-GCM over it all (docs/clients.md, 4). */
export async function encrypted(password: string, salt: string, plain: BufferSource): Promise<Uint8Array<ArrayBuffer>> {
  const text = new TextEncoder().encode(password);
  const secret = await crypto.subtle.importKey("raw", text, "PBKDF2", false, ["deriveKey"]);
  const parameters = { name: "PBKDF2", hash: "SHA-256", salt: Buffer.from(salt, "hex"), iterations: 100_000 };
  const kind = { name: "AES-GCM", length: 256 };
  const key = await crypto.subtle.deriveKey(parameters, secret, kind, false, ["encrypt"]);
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, plain));
  const whole = new Uint8Array(iv.length + sealed.length);
  whole.set(iv);
  whole.set(sealed, iv.length);
  return whole;
}

/** What `fetch` writes by itself and refuses to be told. */
export function settable(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== "content-length"));
}

export function same(one: unknown, other: unknown): void {
  if (JSON.stringify(one) !== JSON.stringify(other)) {
    throw new Error(`${JSON.stringify(one)} is not ${JSON.stringify(other)}`);
  }
}

/** The value, which must be there. */
export function there<T>(value: T | null | undefined, otherwise: unknown): T {
  if (value === null || value === undefined) {
    throw new Error(`there is nothing: ${JSON.stringify(otherwise)}`);
  }
  return value;
}
