// The browser's own database: tokens and key of who stays signed in, sealed transcripts, drafts, uploads.
// Nothing is in it in the clear but what the service sees too.

const NAME = "panzoto";
const VERSION = 2;
/** Stores of plain pairs. Their keys begin with the account that the row is of, those of `session` excepted. */
export const STORES = /** @type {const} */ ([
  "session", "consents", "drafts", "uploads", "transcripts", "unproven-keys",
]);

/** @typedef {(typeof STORES)[number]} StoreName */

/** @type {Promise<IDBDatabase> | null} */
let opened = null;

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
function answer(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** @returns {Promise<IDBDatabase>} */
function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      for (const name of STORES) {
        if (!request.result.objectStoreNames.contains(name)) request.result.createObjectStore(name);
      }
    };
    request.onsuccess = () => {
      // A tab of a later release may want to change the stores.
      request.result.onversionchange = () => {
        request.result.close();
        opened = null;
      };
      // The browser closes it where somebody clears what the site keeps, or the disk fails.
      request.result.onclose = () => {
        opened = null;
      };
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
  });
  opened.catch(() => {
    opened = null;
  });
  return opened;
}

/**
 * Begin to change a store. It ends once the change is on the disk and not merely with the system, which is not what
 * browsers do by themselves: recordings are removed because of what a row says of them, and a row that a power cut takes
 * back would look for them.
 *
 * @param {StoreName} name
 */
const changing = async (name) => (await database()).transaction(name, "readwrite", { durability: "strict" });

/**
 * Do something with one store, in one transaction; resolves once it is durable.
 *
 * @template T
 * @param {StoreName} name
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T>} work
 * @returns {Promise<T>}
 */
async function within(name, mode, work) {
  const transaction = mode === "readwrite" ? await changing(name) : (await database()).transaction(name, mode);
  const ended = endOf(transaction);
  const result = await answer(work(transaction.objectStore(name)));
  await ended;
  return result;
}

/** @param {IDBTransaction} transaction @returns {Promise<void>} */
function endOf(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}

/**
 * The same, for reading. A browser that keeps nothing, as some private windows, has nothing to read, and says why
 * where something is to be kept.
 *
 * @template T
 * @param {StoreName} name
 * @param {(store: IDBObjectStore) => IDBRequest<T>} work
 * @param {T} nothing
 * @returns {Promise<T>}
 */
async function read(name, work, nothing) {
  const isThere = await database().then(() => true, () => false);
  return isThere ? within(name, "readonly", work) : nothing;
}

/** Return what is kept under a key, or undefined. @param {StoreName} store @param {string} key @returns {Promise<any>} */
export const kept = (store, key) => read(store, (rows) => rows.get(key), undefined);

/** @param {StoreName} store @param {string} key @param {unknown} value */
export const keep = (store, key, value) => within(store, "readwrite", (rows) => rows.put(value, key));

/** @param {StoreName} store @param {string} key */
export const forget = (store, key) => within(store, "readwrite", (rows) => rows.delete(key));

/**
 * Put in place of what is kept under a key what `work` makes of it, in one transaction, so that no other tab comes
 * in between. Undefined stands for nothing, before and after.
 *
 * @param {StoreName} name
 * @param {string} key
 * @param {(before: any) => unknown} work
 */
export async function amend(name, key, work) {
  const transaction = await changing(name);
  const ended = endOf(transaction);
  const rows = transaction.objectStore(name);
  const after = work(await answer(rows.get(key)));
  if (after === undefined) rows.delete(key);
  else rows.put(after, key);
  await ended;
}

/** Every key that begins with `prefix`. @param {StoreName} store @param {string} prefix @returns {Promise<string[]>} */
export const keysOf = (store, prefix) =>
  read(store, (rows) => rows.getAllKeys(beginningWith(prefix)), []).then((keys) => keys.map(String));

/** The same for who removes what is not among them: rejects where the database cannot be read. @param {StoreName} store @param {string} prefix @returns {Promise<string[]>} */
export const keysForCertain = (store, prefix) =>
  within(store, "readonly", (rows) => rows.getAllKeys(beginningWith(prefix))).then((keys) => keys.map(String));

/** Every value whose key begins with `prefix`. @param {StoreName} store @param {string} prefix @returns {Promise<any[]>} */
export const valuesOf = (store, prefix) => read(store, (rows) => rows.getAll(beginningWith(prefix)), []);

/** @param {StoreName} store @param {string} prefix */
export const forgetAll = (store, prefix) =>
  within(store, "readwrite", (rows) => rows.delete(beginningWith(prefix)));

/** The values under these keys, undefined for what is not there. @param {StoreName} store @param {string[]} keys @returns {Promise<any[]>} */
export async function keptAll(store, keys) {
  const rows = (await database()).transaction(store, "readonly").objectStore(store);
  return Promise.all(keys.map((key) => answer(rows.get(key))));
}

/**
 * Put rows and take others away, all at once or not at all, where `guard` has the value that it is thought to have.
 * Resolves to whether it has.
 *
 * @param {StoreName} store
 * @param {{ guard: { key: string, value: unknown }, put: [key: string, value: unknown][], remove: string[] }} change
 * @returns {Promise<boolean>}
 */
export async function changeIf(store, { guard, put, remove }) {
  const transaction = (await database()).transaction(store, "readwrite");
  const rows = transaction.objectStore(store);
  const ended = new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(undefined);
    transaction.onabort = () => reject(transaction.error);
  });
  const holds = (await answer(rows.get(guard.key))) === guard.value;
  if (holds) {
    for (const [key, value] of put) rows.put(value, key);
    for (const key of remove) rows.delete(key);
  }
  await ended;
  return holds;
}

const beginningWith = (/** @type {string} */ prefix) => IDBKeyRange.bound(prefix, `${prefix}\uffff`);
