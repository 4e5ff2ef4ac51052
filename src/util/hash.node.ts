/** SHA-256, the name of every stored thing. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readError } from "./files.node.ts";

/** SHA-256 of bytes, or of a string's UTF-8, in 64 lower-case hexadecimal digits. */
export function sha256Hex(data: Uint8Array | string): string {
  return createHash("sha256").update(data).digest("hex");
}

/**
 * SHA-256 of a file, read in pieces so that its size does not matter. `what` names the file in the error.
 * Throws `data` when it is missing or cannot be read.
 */
export async function sha256HexOfFile(path: string, what: string): Promise<string> {
  const hash = createHash("sha256");
  try {
    for await (const piece of createReadStream(path)) hash.update(piece as Uint8Array);
  } catch (error) {
    throw readError(error, path, what);
  }
  return hash.digest("hex");
}
