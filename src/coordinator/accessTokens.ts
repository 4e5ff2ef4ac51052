/**
 * Access tokens: who a caller is, until when, signed with a key that only the coordinator has (HMAC-SHA-256). They need no look-up, save for
 * the list of revoked ones, and say nothing that is secret. What they allow is decided elsewhere, by role and route.
 */
import { z } from "zod";
import { fromBase64Url, randomText, toBase64Url } from "./bytes.ts";
import type { JoinRole } from "./store.ts";

/** What a token says. */
export interface AccessClaims {
  readonly tokenId: string;
  /** Device id of a device; a label for people otherwise. */
  readonly subject: string;
  readonly role: JoinRole;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

export type TokenCheck =
  | { readonly ok: true; readonly claims: AccessClaims }
  | { readonly ok: false; readonly problem: "malformed" | "forged" | "expired"; readonly claims?: AccessClaims };

export interface AccessTokens {
  issue(subject: string, role: JoinRole, lifetimeMs: number): Promise<{ readonly token: string; readonly claims: AccessClaims }>;
  check(token: string): Promise<TokenCheck>;
}

const prefix = "sheaf1";
/** Longer texts are no tokens of ours, and not worth a hash. */
const longestToken = 1000;

const payloadSchema = z.strictObject({
  id: z.string().min(1).max(64),
  sub: z.string().min(1).max(200),
  role: z.enum(["device", "viewer", "admin"]),
  iat: z.int(),
  exp: z.int(),
});

/** Tokens that were found right and are not looked at again until they expire; a device shows the same one with each request. */
const mostKnown = 50_000;
const leastSwept = 256;

/** Bytes of the key; as many as SHA-256 has. */
export const tokenKeyBytes = 32;

/** Makes and checks tokens by a key of 32 bytes. Another key makes all earlier tokens forgeries. */
export async function openAccessTokens(key: Uint8Array, nowMs: () => number): Promise<AccessTokens> {
  const hmac = await crypto.subtle.importKey("raw", new Uint8Array(key), { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
  const known = new Map<string, AccessClaims>();
  let sweepAt = leastSwept;
  /** Forgets what has expired whenever twice as many are known as after the last time: each token is looked at about once. */
  const sweep = (): void => {
    if (known.size < sweepAt) return;
    const now = nowMs();
    for (const [token, { expiresAtMs }] of known) if (expiresAtMs <= now) known.delete(token);
    sweepAt = Math.max(leastSwept, 2 * known.size);
  };
  const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
  return {
    async issue(subject, role, lifetimeMs) {
      const issuedAtMs = nowMs();
      const claims: AccessClaims = { tokenId: randomText(12), subject, role, issuedAtMs, expiresAtMs: issuedAtMs + lifetimeMs };
      const payload = JSON.stringify({ id: claims.tokenId, sub: subject, role, iat: issuedAtMs, exp: claims.expiresAtMs });
      const signed = `${prefix}.${toBase64Url(encode(payload))}`;
      const signature = new Uint8Array(await crypto.subtle.sign("HMAC", hmac, encode(signed)));
      return { token: `${signed}.${toBase64Url(signature)}`, claims };
    },
    async check(token) {
      const seen = known.get(token);
      if (seen && nowMs() < seen.expiresAtMs) return { ok: true, claims: seen };
      known.delete(token);
      const [head, payload, signature, ...rest] = token.length > longestToken ? [] : token.split(".");
      const bytes = fromBase64Url(payload ?? "");
      const mac = fromBase64Url(signature ?? "");
      if (head !== prefix || !bytes || !mac || rest.length > 0) return { ok: false, problem: "malformed" };
      // `verify` takes the same time wherever the first difference is.
      if (!(await crypto.subtle.verify("HMAC", hmac, mac, encode(`${head}.${payload}`)))) return { ok: false, problem: "forged" };
      const parsed = payloadSchema.safeParse(JSON.parse(new TextDecoder().decode(bytes)));
      if (!parsed.success) return { ok: false, problem: "malformed" };
      const { id, sub, role, iat, exp } = parsed.data;
      const claims: AccessClaims = { tokenId: id, subject: sub, role, issuedAtMs: iat, expiresAtMs: exp };
      if (nowMs() >= exp) return { ok: false, problem: "expired", claims };
      sweep();
      known.set(token, claims);
      if (known.size > mostKnown) known.delete(known.keys().next().value!);
      return { ok: true, claims };
    },
  };
}
