/** The name of an upload, a function of who uploads what: the same request finds the same upload, also after a restart. */
import { sha256 } from "./bytes.ts";
import type { UploadRequest } from "./store.ts";

/** 32 hexadecimal digits. Another owner of the same object has another upload, so nobody can spoil it. */
export async function uploadIdOf({ owner, sha256: name, bytes }: UploadRequest): Promise<string> {
  return (await sha256(`${owner}\n${name}\n${bytes}`)).slice(0, 32);
}
