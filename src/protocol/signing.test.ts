/** Token requests: a signature holds for what was signed, by whom and for whom. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { enrolmentSchema, tokenRequestSchema } from "./messages.ts";
import {
  createKey,
  fromBase64,
  openKey,
  sha256Of,
  signEnrolment,
  signTokenRequest,
  toBase64,
  verifyEnrolment,
  verifyTokenRequest,
} from "./signing.ts";

const hex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

describe("keys", () => {
  it("are Ed25519 (RFC 8032 section 7.1, test 3)", async () => {
    const seed = "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7";
    const key = await openKey(toBase64(hex(`302e020100300506032b657004220420${seed}`)));
    expect(key.publicKey).toBe(toBase64(hex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")));
    expect(await key.sign(hex("af82"))).toEqual(
      hex(
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
      ),
    );
  });

  it("come back from their secret, and from nothing else", async () => {
    const { key, secret } = await createKey();
    expect((await openKey(secret)).publicKey).toBe(key.publicKey);
    await expect(openKey("not base64!")).rejects.toThrow("not an Ed25519 key");
    await expect(openKey(toBase64(new Uint8Array(48)))).rejects.toThrow("not an Ed25519 key");
  });

  it("are told in base64 that reads back", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect([...fromBase64(toBase64(bytes))]).toEqual([...bytes]);
      }),
    );
  });

  it("hash as SHA-256 (FIPS 180-4, abc)", async () => {
    expect(await sha256Of(new TextEncoder().encode("abc"))).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  });
});

describe("enrolments", () => {
  const facts = {
    joinToken: "sheafjoin-123",
    name: "toaster",
    profile: { macsPerSecond: 1.1e9, memoryBytes: 1e9, bandwidthBitsPerSecond: 1e6 / 3 },
    data: { classNames: ["a", "b"], counts: [1, 2], sampleShape: { channels: 1, height: 2, width: 3 }, fingerprint: "f".repeat(64) },
    software: "sheaf/test",
  };

  it("are good as signed, also after a journey as JSON, and bad with anything changed", async () => {
    const [{ key }, { key: other }] = await Promise.all([createKey(), createKey()]);
    const enrolment = await signEnrolment(key, facts, "server-1", 1_700_000_000_000);
    const arrived = enrolmentSchema.parse(JSON.parse(JSON.stringify(enrolment)));
    expect(await verifyEnrolment(arrived, "server-1")).toBe(true);
    expect(await verifyEnrolment(arrived, "server-2")).toBe(false);
    for (const name of Object.keys(enrolment) as (keyof typeof enrolment)[]) {
      const { [name]: _, ...without } = enrolment;
      expect(await verifyEnrolment(without as typeof enrolment, "server-1"), name).toBe(false);
    }
    expect(await verifyEnrolment({ ...enrolment, publicKey: other.publicKey }, "server-1")).toBe(false);
    expect(await verifyEnrolment({ ...enrolment, preferredClasses: [] }, "server-1")).toBe(false);
  });
});

describe("token requests", () => {
  it("are good as signed, and bad with anything changed", async () => {
    const [{ key }, { key: other }] = await Promise.all([createKey(), createKey()]);
    const request = await signTokenRequest(key, "device-1", "server-1", 1_700_000_000_000.4);
    expect(tokenRequestSchema.parse(request)).toEqual(request);
    expect(await verifyTokenRequest(key.publicKey, request, "server-1")).toBe(true);
    expect(await verifyTokenRequest(key.publicKey, request, "server-2")).toBe(false);
    expect(await verifyTokenRequest(other.publicKey, request, "server-1")).toBe(false);
    expect(await verifyTokenRequest("nonsense", request, "server-1")).toBe(false);
    for (const change of [
      { deviceId: "device-2" },
      { at: request.at + 1 },
      { nonce: toBase64(new Uint8Array(16)) },
      { signature: toBase64(new Uint8Array(64)) },
      { signature: "" },
    ]) {
      expect(await verifyTokenRequest(key.publicKey, { ...request, ...change }, "server-1"), JSON.stringify(change)).toBe(false);
    }
  });

  it("never have the same nonce", async () => {
    const { key } = await createKey();
    const requests = await Promise.all(Array.from({ length: 20 }, () => signTokenRequest(key, "d", "s", 1)));
    expect(new Set(requests.map(({ nonce }) => nonce)).size).toBe(20);
  });
});
