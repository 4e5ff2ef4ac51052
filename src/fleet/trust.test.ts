import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createAuthority } from "../coordinator/certificates.node.ts";
import { parseJoinAddress } from "./address.ts";
import { authorityOf, fetchTrusting, plainFingerprint } from "./trust.ts";

describe("an address to join", () => {
  it("is read in its parts", () => {
    const pin = "a".repeat(64);
    expect(parseJoinAddress(`https://h:1#t:${pin}`)).toEqual({ url: "https://h:1", token: "t", pin });
    expect(parseJoinAddress("https://h:1#t")).toEqual({ url: "https://h:1", token: "t" });
    expect(parseJoinAddress("http://127.0.0.1:1")).toEqual({ url: "http://127.0.0.1:1" });
    for (const wrong of ["h:1", "", "https://h#t:abc"]) expect(() => parseJoinAddress(wrong)).toThrow("copy the whole line");
  });
});

describe("a coordinator with an authority of its own", () => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-trust-"));
  const closers: (() => void)[] = [];
  let url: string;
  let pin: string;
  let authority: string;
  beforeAll(async () => {
    const made = await createAuthority(join(folder, "ca"));
    pin = plainFingerprint(made.fingerprint);
    authority = made.certificate;
    const { certificate, key } = await made.issueServer(["127.0.0.1"]);
    const server = createServer({ cert: `${certificate}\n${made.certificate}`, key }, (_, answer) => answer.end("hello"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closers.push(
      () => server.closeAllConnections(),
      () => server.close(),
    );
    url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    for (const close of closers) close();
    rmSync(folder, { recursive: true, force: true });
  });
  const get = { method: "GET", headers: {}, signal: new AbortController().signal, redirect: "error" } as const;

  it("is known by its fingerprint, and then by its authority alone", async () => {
    const found = await authorityOf(url, pin);
    expect(await (await fetchTrusting(found)(url, get)).text()).toBe("hello");
    expect(await (await fetchTrusting(authority)(url, get)).text()).toBe("hello");
    await expect(fetch(url)).rejects.toThrow();
  });

  it("is refused with another fingerprint or authority", async () => {
    await expect(authorityOf(url, "0".repeat(64))).rejects.toMatchObject({ code: "config" });
    const other = await createAuthority(join(folder, "other"));
    await expect(fetchTrusting(other.certificate)(url, get)).rejects.toThrow();
    await expect(authorityOf("https://127.0.0.1:1", pin)).rejects.toMatchObject({ code: "unavailable" });
  });
});
