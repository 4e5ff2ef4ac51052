/** The server on real sockets: TLS by our own authority, client certificates and their revocation, slow and cut connections, an orderly end. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { request } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Authority, createAuthority, type Issued, openAuthority } from "./certificates.node.ts";
import { addressOfNode, isLoopback, type Listening, listen, networkOf } from "./listen.node.ts";
import { bodies, openFake } from "./server.fixture.ts";

const root = mkdtempSync(join(tmpdir(), "sheaf-cert-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const host = "127.0.0.1";
let authority: Authority;
let server: Issued;
beforeAll(async () => {
  authority = await createAuthority(join(root, "ca"));
  server = await authority.issueServer(["localhost", host, "::1"]);
});

interface ClientTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
}

/** Status of GET /healthz, or the error's code. */
async function health(port: number, tls: ClientTls): Promise<number | string> {
  return new Promise((resolve) => {
    const sent = request({ host, port, path: "/healthz", agent: false, ...tls }, (response: IncomingMessage) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode ?? 0));
    });
    sent.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    sent.end();
  });
}

const withListening = async (start: () => Promise<Listening>, use: (listening: Listening) => Promise<void>): Promise<void> => {
  const listening = await start();
  try {
    await use(listening);
  } finally {
    await listening.close();
  }
};

describe("certificates", () => {
  it("are what OpenSSL takes for sound", async () => {
    const device = await authority.issueDevice("pi-1");
    for (const { certificatePath } of [server, device]) {
      const said = execFileSync("openssl", ["verify", "-x509_strict", "-CAfile", authority.certificatePath, certificatePath], {
        encoding: "utf8",
      });
      expect(said).toContain("OK");
    }
    expect(statSync(server.keyPath).mode & 0o777).toBe(0o600);
    expect(statSync(join(root, "ca", "ca.key")).mode & 0o777).toBe(0o600);
    expect(authority.fingerprint).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  });

  it("are not made for what is no host, no device and no serial number, nor twice in a folder", async () => {
    for (const bad of ["", "a b", "../x", "-x.example", "http://x", "x\n"])
      await expect(authority.issueServer([bad])).rejects.toMatchObject({ code: "usage" });
    await expect(authority.issueServer([])).rejects.toMatchObject({ code: "usage" });
    for (const bad of ["", "../x", "a/b", "x,O=y"]) await expect(authority.issueDevice(bad)).rejects.toMatchObject({ code: "usage" });
    await expect(authority.revoke("xyz")).rejects.toMatchObject({ code: "usage" });
    await expect(createAuthority(join(root, "ca"))).rejects.toMatchObject({ code: "usage" });
    await expect(openAuthority(join(root, "none"))).rejects.toMatchObject({ code: "data" });
  });
});

describe("TLS", () => {
  it("is demanded where others can reach the server", async () => {
    const { server: app } = await openFake();
    for (const open of ["0.0.0.0", "::", "192.0.2.1", "fleet.example"]) {
      await expect(listen(app, { host: open, port: 0 })).rejects.toMatchObject({
        code: "config",
        message: expect.stringContaining("needs TLS"),
      });
    }
    await expect(listen(app, { host, port: 0, tls: { key: "x", certificate: "y" } })).rejects.toMatchObject({ code: "config" });
    for (const own of ["127.0.0.1", "127.1.2.3", "localhost", "::1"]) expect(isLoopback(own)).toBe(true);
    for (const other of ["127.0.0.1.evil.example", "1270.0.0.1", "0.0.0.0", "::"]) expect(isLoopback(other)).toBe(false);
  });

  it("is trusted by those who know the authority, and by nobody else", async () => {
    const { server: app } = await openFake();
    const tls = { key: server.key, certificate: server.certificate };
    await withListening(
      () => listen(app, { host, port: 0, tls }),
      async ({ port }) => {
        expect(await health(port, { ca: authority.certificate })).toBe(200);
        expect(await health(port, {})).toMatch(/UNABLE_TO_VERIFY|SELF_SIGNED/);
        expect(await health(port, { ca: authority.certificate, servername: "other.example" })).toBe("ERR_TLS_CERT_ALTNAME_INVALID");
        const plain = connect(port, host);
        plain.write("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
        await new Promise((resolve) => plain.once("close", resolve).resume());
      },
    );
  });

  it("lets in devices with a certificate alone, when told so, until that is revoked", async () => {
    const { server: app } = await openFake();
    const [good, bad] = [await authority.issueDevice("good"), await authority.issueDevice("bad")];
    const stranger = await (await createAuthority(join(root, "other"))).issueDevice("good");
    const tls = {
      key: server.key,
      certificate: server.certificate,
      clientAuthority: authority.certificate,
      revocationList: await authority.revocationList(),
    };
    const as = ({ certificate, key }: Issued): ClientTls => ({ ca: authority.certificate, cert: certificate, key });
    await withListening(
      () => listen(app, { host, port: 0, tls }),
      async (listening) => {
        expect(await health(listening.port, as(good))).toBe(200);
        expect(await health(listening.port, as(bad))).toBe(200);
        expect(await health(listening.port, { ca: authority.certificate })).not.toBe(200);
        expect(await health(listening.port, as(stranger))).not.toBe(200);
        await authority.revoke(server.serial);
        const list = await authority.revoke(bad.certificate);
        expect(await authority.revoke(bad.serial.toUpperCase())).not.toBe(list);
        listening.renew({ ...tls, revocationList: list });
        expect(await health(listening.port, as(good))).toBe(200);
        expect(await health(listening.port, as(bad))).not.toBe(200);
      },
    );
  });
});

describe("sockets", () => {
  it("a request that is cut, one that is garbage and one with endless headers do no harm", async () => {
    const fake = await openFake();
    await withListening(
      () => listen(fake.server, { host, port: 0 }),
      async ({ port }) => {
        const send = (text: string, cut: boolean): Promise<string> =>
          new Promise((resolve) => {
            let heard = "";
            const socket = connect(port, host, () => {
              socket.write(text);
              if (cut) setTimeout(() => socket.destroy(), 20);
            });
            socket.on("data", (piece) => {
              heard += piece;
              if (heard.includes("\r\n\r\n")) socket.destroy();
            });
            socket.on("error", () => undefined);
            socket.on("close", () => resolve(heard));
          });
        const token = await fake.bearer("admin-1", "admin");
        const head = `POST /v1/runs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer ${token}\r\n`;
        await send(`${head}content-length: 100\r\n\r\n{"name"`, true);
        expect(await send("\u0000\u0001garbage\r\n\r\n", false)).toContain("400");
        expect(await send(`GET / HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(20_000)}\r\n\r\n`, false)).toContain("431");
        expect(await send(`${head}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n`, false)).toContain("400");
        expect(await send("GET /v1/objects/../../../etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n", false)).toContain("404");
        expect(await send("GET http://evil.example/healthz HTTP/1.1\r\nhost: x\r\n\r\n", false)).not.toBe("");
        const response = await fetch(`http://${host}:${port}/healthz`);
        expect(response.status).toBe(200);
        expect(fake.commands).toEqual([]);
      },
    );
  });

  it("a caller that goes away ends its long poll, and closing ends all", async () => {
    const fake = await openFake();
    const token = await fake.bearer("device-waiting", "device");
    await withListening(
      () => listen(fake.server, { host, port: 0, closeMs: 2000 }),
      async (listening) => {
        const poll = (signal: AbortSignal): Promise<Response> =>
          fetch(`http://${host}:${listening.port}/v1/offers`, {
            method: "POST",
            body: JSON.stringify(bodies.offer),
            headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
            signal,
          });
        const leave = new AbortController();
        const left = poll(leave.signal).catch(() => "left");
        while (fake.commands.length < 1) await new Promise((resolve) => setTimeout(resolve, 5));
        leave.abort();
        expect(await left).toBe("left");
        const { signal } = fake.commands[0]!;
        if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
        const staying = poll(new AbortController().signal).then(async (response) => (await response.json()) as object);
        while (fake.commands.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
        const startedAt = Date.now();
        await listening.close();
        expect(await staying).toHaveProperty("offer", null);
        expect(Date.now() - startedAt).toBeLessThan(1900);
      },
    );
  });

  it("connections that nobody uses make room for others", async () => {
    const fake = await openFake();
    await withListening(
      () => listen(fake.server, { host, port: 0, connections: 16 }),
      async (listening) => {
        const kept = new Agent({ keepAlive: true });
        const ask = (agent: Agent): Promise<number | undefined> =>
          new Promise((resolve, reject) => {
            httpRequest({ host, port: listening.port, path: "/healthz", agent }, (response) => {
              response.resume().on("end", () => resolve(response.statusCode));
            })
              .on("error", reject)
              .end();
          });
        // Each by a connection of its own, which stays open.
        const clients = Array.from({ length: 40 }, () => new Agent({ keepAlive: true }));
        for (const client of [kept, ...clients]) expect(await ask(client)).toBe(200);
        expect(listening.connections).toBeLessThanOrEqual(16);
        // Whose connection was closed meanwhile opens another.
        expect(await ask(kept)).toBe(200);
        for (const client of [kept, ...clients]) client.destroy();
      },
    );
  });

  it("closing does not wait for ever for a request that does not end", async () => {
    const fake = await openFake();
    const stuck = { ...fake.server, fetch: () => new Promise<Response>(() => undefined), close: () => new Promise<void>(() => undefined) };
    const listening = await listen(stuck, { host, port: 0, closeMs: 50 });
    const answer = fetch(`http://${host}:${listening.port}/healthz`).catch(() => "cut");
    await new Promise((resolve) => setTimeout(resolve, 30));
    await listening.close();
    expect(await answer).toBe("cut");
  });

  it("a port that is taken is told", async () => {
    const { server: app } = await openFake();
    await withListening(
      () => listen(app, { host, port: 0 }),
      async ({ port }) => {
        await expect(listen(app, { host, port })).rejects.toMatchObject({ code: "unavailable" });
      },
    );
  });

  it("rates are counted by network", async () => {
    expect(networkOf("::ffff:192.0.2.7")).toBe("192.0.2.7");
    expect(networkOf("192.0.2.7")).toBe("192.0.2.7");
    expect(networkOf("2001:db8:1:2:3:4:5:6")).toBe("2001:db8:1:2::/64");
    expect(networkOf("2001:DB8::6")).toBe("2001:db8:0:0::/64");
    expect(networkOf("::1")).toBe("0:0:0:0::/64");
    expect(networkOf("fe80::1%eth0")).toBe("fe80:0:0:0::/64");
    const seen: string[] = [];
    const fake = await openFake();
    const spying = {
      ...fake.server,
      fetch: (sent: Request, env?: unknown) => fake.server.fetch(sent, seen.push(addressOfNode(env)) && env),
    };
    await withListening(
      () => listen(spying, { host, port: 0 }),
      async ({ port }) => {
        await new Promise((resolve) =>
          httpRequest({ host, port, path: "/healthz", agent: false }, (response) => resolve(response.resume())).end(),
        );
      },
    );
    expect(seen).toEqual([host]);
  });
});
