/** Who this device is: an Ed25519 key in the browser's own key store, from where its secret cannot be read out, not even by this page. */
import { type DeviceKey, keyOf } from "../../src/protocol/signing.ts";
import { SheafError } from "../../src/util/errors.ts";

const database = "sheaf-device";
const store = "keys";
const name = "device";

const settled = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

async function withStore<T>(mode: IDBTransactionMode, use: (keys: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const opening = indexedDB.open(database, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(store);
  const opened = await settled(opening);
  try {
    return await settled(use(opened.transaction(store, mode).objectStore(store)));
  } finally {
    opened.close();
  }
}

async function create(): Promise<CryptoKeyPair> {
  try {
    return (await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"])) as CryptoKeyPair;
  } catch (cause) {
    throw new SheafError("unavailable", "This browser cannot make Ed25519 keys; use one of 2025 or later.", { cause });
  }
}

/** The device's key, made at the first time. Throws `unavailable` where the browser knows no such keys, `storage` where it keeps nothing. */
export async function openIdentity(): Promise<DeviceKey> {
  const kept = await withStore<CryptoKeyPair | undefined>("readonly", (keys) => keys.get(name)).catch((cause: unknown) => {
    throw new SheafError("storage", "This browser keeps nothing for this page, as in some private windows; open it in an ordinary one.", {
      cause,
    });
  });
  if (kept) return keyOf(kept);
  const pair = await create();
  await withStore("readwrite", (keys) => keys.put(pair, name));
  return keyOf(pair);
}

/** Forgets the key: the device is another one from then on. */
export async function forgetIdentity(): Promise<void> {
  await withStore("readwrite", (keys) => keys.delete(name));
}
