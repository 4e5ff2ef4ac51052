/** A device's Ed25519 key (RFC 8032, by WebCrypto) and what it signs: its enrolment, and requests for access tokens. Holds no state and no files. */
import { SheafError } from "../util/errors.ts";
import { canonicalJson } from "../util/json.ts";
import type { Enrolment, EnrolmentFacts, TokenRequest } from "./messages.ts";

/** A key that WebCrypto holds. */
export type SubtleKey = Parameters<typeof crypto.subtle.sign>[1];

type Buffered = Parameters<typeof crypto.subtle.digest>[1];

/** What a device proves its identity with; the secret may be beyond reach, as in a browser's key store. */
export interface DeviceKey {
  /** Raw public key of 32 bytes, base64. */
  readonly publicKey: string;
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** Bytes as base64 (RFC 4648 section 4). */
export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** Bytes of base64 text. Throws `corrupt` when it is none. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  } catch (cause) {
    throw new SheafError("corrupt", "Expected base64 text, got something else.", { cause });
  }
}

/** The key of a pair of WebCrypto, whose secret half need not be extractable. */
export async function keyOf(pair: { readonly privateKey: SubtleKey; readonly publicKey: SubtleKey }): Promise<DeviceKey> {
  const publicKey = toBase64(new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)));
  return {
    publicKey,
    sign: async (message) => new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, message as Buffered)),
  };
}

/** A new key, and its secret (PKCS #8, base64) to be kept where nobody else reads it. */
export async function createKey(): Promise<{ readonly key: DeviceKey; readonly secret: string }> {
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as { privateKey: SubtleKey; publicKey: SubtleKey };
  const secret = toBase64(new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey)));
  return { key: await keyOf(pair), secret };
}

/** The key of a kept secret. Throws `corrupt` when it is none. */
export async function openKey(secret: string): Promise<DeviceKey> {
  try {
    const privateKey = await crypto.subtle.importKey("pkcs8", fromBase64(secret), "Ed25519", true, ["sign"]);
    const { x } = await crypto.subtle.exportKey("jwk", privateKey);
    if (!x) throw new Error("no public half");
    const publicKey = await crypto.subtle.importKey("jwk", { kty: "OKP", crv: "Ed25519", x }, "Ed25519", true, ["verify"]);
    return await keyOf({ privateKey, publicKey });
  } catch (cause) {
    throw new SheafError("corrupt", "A device's secret key is not an Ed25519 key in PKCS #8; restore it from a backup, or enrol anew.", {
      cause,
    });
  }
}

/** What a signature is good for. */
type Purpose = "sheaf-enrol-1" | "sheaf-token-1";

/** What is signed: the claim, what for, and for whom, so that one coordinator cannot use it with another. */
function claimBytes(purpose: Purpose, serverId: string, claim: object): Uint8Array {
  return new TextEncoder().encode(canonicalJson({ purpose, audience: serverId, ...claim }));
}

/** A claim with its time, a nonce of its own and the signature. */
async function signClaim<T extends object>(purpose: Purpose, key: DeviceKey, serverId: string, at: number, facts: T) {
  const claim = { ...facts, at: Math.round(at), nonce: toBase64(crypto.getRandomValues(new Uint8Array(16))) };
  return { ...claim, signature: toBase64(await key.sign(claimBytes(purpose, serverId, claim))) };
}

async function verifyClaim(
  purpose: Purpose,
  publicKey: string,
  serverId: string,
  { signature, ...claim }: { readonly signature: string },
): Promise<boolean> {
  try {
    const key = await crypto.subtle.importKey("raw", fromBase64(publicKey), "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", key, fromBase64(signature), claimBytes(purpose, serverId, claim) as Buffered);
  } catch {
    // A key or signature that cannot even be read has not signed anything.
    return false;
  }
}

/** A signed request for an access token. `at` is the device's clock in milliseconds, corrected by the coordinator's. */
export async function signTokenRequest(key: DeviceKey, deviceId: string, serverId: string, at: number): Promise<TokenRequest> {
  return await signClaim("sheaf-token-1", key, serverId, at, { deviceId });
}

/** Whether a token request was signed for this coordinator by the owner of `publicKey`. Time and nonce are the caller's to check. */
export function verifyTokenRequest(publicKey: string, request: TokenRequest, serverId: string): Promise<boolean> {
  return verifyClaim("sheaf-token-1", publicKey, serverId, request);
}

/** A signed enrolment, all of which the signature covers. `at` is the coordinator's clock in milliseconds. */
export async function signEnrolment(key: DeviceKey, facts: EnrolmentFacts, serverId: string, at: number): Promise<Enrolment> {
  return await signClaim("sheaf-enrol-1", key, serverId, at, { ...facts, publicKey: key.publicKey });
}

/** Whether an enrolment was signed for this coordinator by the owner of the public key in it. Time, nonce and join token are the caller's to check. */
export function verifyEnrolment(enrolment: Enrolment, serverId: string): Promise<boolean> {
  return verifyClaim("sheaf-enrol-1", enrolment.publicKey, serverId, enrolment);
}

/** SHA-256 in 64 lower-case hexadecimal digits. */
export async function sha256Of(bytes: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Buffered));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
