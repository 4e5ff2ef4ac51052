/** From a request's token to its caller: what the token says, and whether it still counts. */
import { ProtocolError } from "../protocol/errors.ts";
import type { AccessTokens } from "./accessTokens.ts";
import type { Caller, Coordinator } from "./service.ts";
import type { SecretStore } from "./store.ts";

export interface Authenticator {
  readonly tokens: AccessTokens;
  readonly secrets: SecretStore;
  readonly coordinator: Coordinator;
}

/**
 * The caller that the Authorization header proves. Throws `unauthenticated` (no token, garbage, a forgery, an unknown device),
 * `expired` and `revoked`.
 */
export async function authenticate(header: string | null, { tokens, secrets, coordinator }: Authenticator): Promise<Caller> {
  if (header === null)
    throw new ProtocolError("unauthenticated", "This route needs an access token in the header `authorization: Bearer …`.");
  const [, token] = /^Bearer ([\x21-\x7e]+)$/i.exec(header) ?? [];
  const checked = token === undefined ? undefined : await tokens.check(token);
  if (!checked || (!checked.ok && checked.problem !== "expired")) {
    throw new ProtocolError("unauthenticated", "The access token is not one that this coordinator gave; ask for a new one.");
  }
  if (!checked.ok) throw new ProtocolError("expired", "The access token has expired; ask for a new one.");
  const { tokenId, subject, role, expiresAtMs } = checked.claims;
  if (await secrets.isRevoked(tokenId))
    throw new ProtocolError("revoked", "The access token was revoked; ask an administrator for another.");
  if (role === "device") {
    const device = await coordinator.device(subject);
    if (!device) throw new ProtocolError("unauthenticated", `The coordinator knows no device ${subject}; enrol again.`);
    if (device.revoked) throw new ProtocolError("revoked", `Device ${subject} was revoked by an administrator.`);
  }
  return { role, subject, tokenId, expiresAtMs };
}
