/** Where a coordinator is: addresses, lines to join, and the file that tells other commands. */
import { SheafError } from "../util/errors.ts";

/** Name of the file that tells other commands where the coordinator is. */
export const addressFile = "address.json";

/** Whether an address to listen on stands for all of a machine's. */
export const isWildcard = (host: string): boolean => host === "0.0.0.0" || host === "::";

/** The parts of what stands behind `sheaf join`. */
export interface JoinAddress {
  readonly url: string;
  readonly token?: string;
  /** SHA-256 of the authority's certificate, 64 hexadecimal digits. */
  readonly pin?: string;
}

/**
 * Reads `URL`, `URL#TOKEN` or `URL#TOKEN:PIN`. Throws `usage` for what is none.
 * @example parseJoinAddress("https://192.168.1.7:8470#sheafjoin-x:ab12...")
 */
export function parseJoinAddress(text: string): JoinAddress {
  const [url = "", fragment = ""] = text.split("#");
  if (!/^https?:\/\//.test(url))
    throw new SheafError("usage", `"${url}" is no address of a coordinator; copy the whole line that \`sheaf serve\` printed.`);
  const [token = "", pin] = fragment.split(":");
  if (pin !== undefined && !/^[0-9a-f]{64}$/.test(pin))
    throw new SheafError(
      "usage",
      "What stands behind the token is no fingerprint of 64 digits; copy the whole line that `sheaf serve` printed.",
    );
  return { url, ...(token === "" ? {} : { token }), ...(pin === undefined ? {} : { pin }) };
}
