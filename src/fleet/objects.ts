/** Objects that the coordinator itself puts into its store. */
import type { ObjectReference } from "../protocol/messages.ts";

/** Puts bytes into the coordinator's store; what else it tells of the object is not looked at. */
export type PutObject = (bytes: Uint8Array) => Promise<{ readonly sha256: string; readonly bytes: number }>;

/** Stores bytes and refers to them. */
export async function store(role: string, bytes: Uint8Array, put: PutObject): Promise<ObjectReference> {
  const { sha256, bytes: length } = await put(bytes);
  return { role, sha256, bytes: length };
}
