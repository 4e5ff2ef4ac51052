/** The client over real sockets that are cut at random places, redirected, or speak no HTTP: what a fake fetch cannot show. */
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { random } from "../util/random.ts";
import { openClient } from "./client.ts";
import { type FakeCoordinator, fakeCoordinator } from "./coordinator.fixture.ts";
import { memorySource } from "./transfer.ts";

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

/** Sends a response as far as `limitBytes`, then cuts the connection. */
async function send(response: Response, out: ServerResponse, limitBytes: number): Promise<void> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  out.writeHead(response.status, Object.fromEntries(response.headers));
  if (bytes.length <= limitBytes) return void out.end(bytes);
  out.write(bytes.slice(0, limitBytes), () => out.socket?.destroy());
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of request) pieces.push(piece as Uint8Array);
  return Buffer.concat(pieces);
}

/** A server whose first `cuts` exchanges are cut, half of them before the request was dealt with. */
async function serve(fake: FakeCoordinator, cuts: number, seed: number): Promise<string> {
  const chance = random(seed, "wire");
  let left = cuts;
  const server = createHttpServer((request, out) => {
    void (async () => {
      const cut = left-- > 0;
      if (cut && chance.uniform() < 0.5) return void request.socket.destroy();
      const body = await bodyOf(request).catch(() => undefined);
      if (!body) return;
      const hasBody = request.method !== "GET" && request.method !== "HEAD";
      const response = await fake.fetch(`http://fake${request.url}`, {
        method: request.method as "GET",
        headers: request.headers as Record<string, string>,
        ...(hasBody ? { body: new Uint8Array(body) } : {}),
        signal: new AbortController().signal,
        redirect: "error",
      });
      await send(response, out, cut ? chance.below(50_000) : Number.POSITIVE_INFINITY);
    })();
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const options = { credentials: { type: "token", token: "viewer-token" }, timing: { sleep: async () => {}, attempts: 30 } } as const;
const bytes = Uint8Array.from({ length: 400_000 }, (_, i) => (i * 131 + (i >> 9)) & 255);

describe("over real sockets", () => {
  it("what goes up comes down, however often connections are cut", async () => {
    for (let seed = 0; seed < 6; seed++) {
      const fake = fakeCoordinator();
      const client = openClient({ ...options, url: await serve(fake, 12, seed) });
      const source = await memorySource(bytes);
      await client.upload(source);
      expect(await client.objectBytes(source.sha256)).toBe(bytes.length);
      const back = openClient({ ...options, url: await serve(fake, 12, seed + 100) });
      expect(Buffer.compare(await back.fetchObject(source), bytes)).toBe(0);
    }
  });

  it("a redirect is not followed, and what is no HTTP is told clearly", async () => {
    let asked = 0;
    const elsewhere = createHttpServer((_, out) => {
      asked++;
      out.end("{}");
    });
    const redirecting = createHttpServer((_, out) => {
      out.writeHead(307, { location: `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/` }).end();
    });
    const noise = createTcpServer((socket) => {
      socket.on("error", () => {}).write("\x15\x03\x01 this is no HTTP\r\n\r\n", () => socket.destroy());
    });
    for (const server of [elsewhere, redirecting, noise] as Server[])
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    servers.push(elsewhere, redirecting);
    for (const server of [redirecting, noise]) {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const client = openClient({ ...options, url, timing: { ...options.timing, attempts: 2 } });
      await expect(client.call("health", {})).rejects.toMatchObject({
        code: "unavailable",
        message: expect.stringMatching(/^GET \/healthz failed on the way: .*Gave up after 2 attempts/),
      });
    }
    expect(asked).toBe(0);
    await new Promise((resolve) => noise.close(resolve));
  });

  it("a connection that falls silent in the middle is given up", async () => {
    const silent = createHttpServer((_, out) => {
      out.writeHead(200, { "content-length": "100" }).write("{");
    });
    servers.push(silent);
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const client = openClient({ ...options, url, silenceMs: 100, timing: { ...options.timing, attempts: 2 } });
    await expect(client.call("health", {})).rejects.toThrow(/Nothing was heard for 100 ms/);
  });
});
