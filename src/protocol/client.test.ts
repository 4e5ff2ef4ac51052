/** The client over a bad line: it ends with the right bytes or a clear error, and does nothing twice that may be done once. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Client, type ClientOptions, openClient } from "./client.ts";
import { type FakeCoordinator, type Fault, fakeCoordinator, faults, jsonResponse } from "./coordinator.fixture.ts";
import { errorBody, ProtocolError } from "./errors.ts";
import { createKey, sha256Of } from "./signing.ts";
import { memorySink, memorySource } from "./transfer.ts";

const viewer = { type: "token", token: "viewer-token" } as const;
/** Milliseconds of silence that count as a hung connection where connections hang. */
const silenceMs = 15;

function setUp(options: Partial<ClientOptions> = {}): { fake: FakeCoordinator; client: Client; waitsMs: number[] } {
  const fake = fakeCoordinator();
  const waitsMs: number[] = [];
  const { timing, ...rest } = options;
  const client = openClient({
    url: "http://localhost:8080/",
    credentials: viewer,
    fetch: fake.fetch,
    now: () => fake.now(),
    timing: { sleep: async (ms) => void waitsMs.push(ms), random: () => 0.5, attempts: 30, ...timing },
    ...rest,
  });
  return { fake, client, waitsMs };
}

const bytesOf = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 255);
const lineFaults = faults.filter((fault) => fault !== "garbled" && fault !== "garbledUp" && fault !== "hung" && fault !== "stalled");
/** Slow faults come seldom, since each takes real time. */
const someFaults = (among: readonly Fault[]): fc.Arbitrary<Fault[]> =>
  fc
    .array(fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...among) }, { weight: 4, arbitrary: fc.constant("none" as const) }), {
      maxLength: 12,
    })
    .chain((list) => fc.option(fc.constantFrom("hung" as const, "stalled" as const)).map((slow) => (slow ? [slow, ...list] : list)));

describe("downloads", () => {
  it("end with the right bytes whatever the line does for a while", async () => {
    await fc.assert(
      fc.asyncProperty(
        someFaults(lineFaults),
        fc.integer({ min: 0, max: 5000 }),
        fc.integer({ min: 1, max: 900 }),
        async (list, length, pieceBytes) => {
          const { fake, client } = setUp({ silenceMs });
          const bytes = bytesOf(length);
          const name = await sha256Of(bytes);
          fake.objects.set(name, bytes);
          fake.pieceBytes = pieceBytes;
          fake.faults.push(...list);
          expect(await client.fetchObject({ sha256: name, bytes: length })).toEqual(bytes);
        },
      ),
      { numRuns: 80 },
    );
  });

  it("go on where they were cut, also in a later sitting", async () => {
    const { fake, client } = setUp();
    const bytes = bytesOf(1000);
    const object = { sha256: await sha256Of(bytes), bytes: 1000 };
    fake.objects.set(object.sha256, bytes);
    const ranges: (string | undefined)[] = [];
    const sink = memorySink();
    await sink.append(bytes.slice(0, 100));
    fake.faults.push("cut", "cut");
    const watched = openClient({
      url: "http://localhost",
      credentials: viewer,
      timing: { sleep: async () => {} },
      fetch: async (url, init) => {
        ranges.push(init.headers.range);
        return await fake.fetch(url, init);
      },
    });
    await watched.download(object, sink);
    expect(sink.bytes()).toEqual(bytes);
    expect(ranges).toEqual(["bytes=100-", "bytes=550-", "bytes=775-"]);
    const before = fake.log.length;
    await client.download(object, sink);
    expect(fake.log.length).toBe(before);
  });

  it("start anew when the bytes have another hash, and say so when they always have", async () => {
    const { fake, client } = setUp();
    const bytes = bytesOf(500);
    const object = { sha256: await sha256Of(bytes), bytes: 500 };
    fake.objects.set(object.sha256, bytes);
    fake.faults.push("garbled", "garbled");
    expect(await client.fetchObject(object)).toEqual(bytes);
    fake.faults.push("garbled", "garbled", "garbled");
    await expect(client.fetchObject(object)).rejects.toMatchObject({
      code: "corrupt",
      message: expect.stringContaining("3 times with another hash"),
    });
  });

  it("never take more bytes than the object has, nor wait for ever", async () => {
    const { fake, client } = setUp({ timing: { attempts: 5 } });
    const name = "0".repeat(64);
    fake.objects.set(name, bytesOf(900));
    await expect(client.fetchObject({ sha256: name, bytes: 500 })).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringMatching(/Gave up after 5 attempts/),
    });
    await expect(client.fetchObject({ sha256: name, bytes: 1000 })).rejects.toMatchObject({ code: "unavailable" });
    await expect(client.fetchObject({ sha256: "1".repeat(64), bytes: 1000 })).rejects.toMatchObject({ protocolCode: "notFound" });
  });

  it("take a server that knows no ranges and is always cut for a failure, and not for progress", async () => {
    const { fake, client } = setUp({ timing: { attempts: 6 } });
    const bytes = bytesOf(1000);
    const object = { sha256: await sha256Of(bytes), bytes: 1000 };
    fake.answers.set(`GET /v1/objects/${object.sha256}`, () => new Response(bytes));
    fake.faults.push(...Array.from({ length: 50 }, () => "cut" as const));
    await expect(client.fetchObject(object)).rejects.toMatchObject({ code: "unavailable" });
    expect(fake.log.length).toBeLessThan(10);
  });

  it("are refused when the range is not the one asked for", async () => {
    const { fake, client } = setUp({ timing: { attempts: 3 } });
    const bytes = bytesOf(100);
    const object = { sha256: await sha256Of(bytes), bytes: 100 };
    const sink = memorySink();
    await sink.append(bytes.slice(0, 50));
    fake.answers.set(
      `GET /v1/objects/${object.sha256}`,
      () => new Response(bytes.slice(40), { status: 206, headers: { "content-range": "bytes 40-99/100" } }),
    );
    await expect(client.download(object, sink)).rejects.toThrow(/got the range "bytes 40-99\/100"/);
    expect(sink.length).toBe(50);
  });

  it("tell whether an object is there and how long it is", async () => {
    const { fake, client } = setUp();
    fake.objects.set("2".repeat(64), bytesOf(77));
    expect(await client.objectBytes("2".repeat(64))).toBe(77);
    expect(await client.objectBytes("3".repeat(64))).toBeUndefined();
  });
});

describe("uploads", () => {
  it("end with the right bytes at the other end whatever the line does for a while", async () => {
    await fc.assert(
      fc.asyncProperty(someFaults(lineFaults), fc.constantFrom(0, 1, 5000, 300_000, 900_000), async (list, length) => {
        const { fake, client } = setUp({ silenceMs });
        const bytes = bytesOf(length);
        const source = await memorySource(bytes);
        fake.faults.push(...list);
        await client.upload(source);
        expect(await sha256Of(fake.objects.get(source.sha256) as Uint8Array)).toBe(source.sha256);
        // What is there is not sent again.
        fake.faults.length = 0;
        const before = fake.log.length;
        await client.upload(source);
        expect(fake.log.slice(before)).toEqual(["POST /v1/uploads"]);
      }),
      { numRuns: 60 },
    );
  });

  it("are sent again when they arrived damaged, and say so when they always do", async () => {
    const { fake, client } = setUp();
    const source = await memorySource(bytesOf(1000));
    fake.faults.push("none", "garbledUp");
    await client.upload(source);
    expect(fake.objects.has(source.sha256)).toBe(true);
    const changed = { ...source, sha256: "4".repeat(64) };
    await expect(client.upload(changed)).rejects.toMatchObject({
      code: "corrupt",
      message: expect.stringContaining("the file has changed"),
    });
  });

  it("go on from the last byte that arrived", async () => {
    const { fake, client } = setUp();
    const source = await memorySource(bytesOf(900_000));
    const reads: number[] = [];
    fake.faults.push("none", "lost", "none", "cut");
    await client.upload({
      ...source,
      read: async (start, end) => {
        reads.push(start);
        return await source.read(start, end);
      },
    });
    // Both lost answers were of chunks that had arrived.
    expect(new Set(reads).size).toBe(reads.length);
    expect(fake.objects.has(source.sha256)).toBe(true);
  });

  it("give up with a clear error when the upload never advances", async () => {
    const { fake, client } = setUp({ timing: { attempts: 4 } });
    const source = await memorySource(bytesOf(10));
    fake.answers.set("POST /v1/uploads", () => jsonResponse({ uploadId: "u", offset: 0, done: false }));
    fake.answers.set("PATCH /v1/uploads/u", () => jsonResponse({ uploadId: "u", offset: 0, done: false }));
    await expect(client.upload(source)).rejects.toMatchObject({ code: "unavailable", message: expect.stringContaining("stays at byte 0") });
    fake.answers.set("POST /v1/uploads", () => jsonResponse({ uploadId: "u", offset: 11, done: false }));
    await expect(client.upload(source)).rejects.toMatchObject({ code: "corrupt" });
  });

  it("do not repeat what is refused for good", async () => {
    const { fake, client } = setUp();
    fake.answers.set("POST /v1/uploads", () => jsonResponse(errorBody(new ProtocolError("tooLarge", "Too large.")), 413));
    await expect(client.upload(await memorySource(bytesOf(10)))).rejects.toMatchObject({ protocolCode: "tooLarge", status: 413 });
    expect(fake.log).toEqual(["POST /v1/uploads"]);
  });
});

const heartbeat = { leaseId: "lease-1", body: { phase: "training", progress: 0.5 } } as const;
const alive = { expiresAt: 5, cancel: false, now: 1_700_000_000_000 };

describe("calls", () => {
  it("are repeated until they are answered", async () => {
    await fc.assert(
      fc.asyncProperty(someFaults(lineFaults), async (list) => {
        const { fake, client } = setUp({ silenceMs });
        fake.answers.set("POST /v1/leases/lease-1/heartbeat", () => jsonResponse(alive));
        fake.faults.push(...list);
        expect(await client.call("heartbeat", heartbeat)).toEqual(alive);
      }),
      { numRuns: 60 },
    );
  });

  it("end with a clear error when nobody answers, after the waits that they should", async () => {
    const { fake, client, waitsMs } = setUp({ timing: { attempts: 5 } });
    fake.faults.push(...Array.from({ length: 9 }, () => "refused" as const));
    await expect(client.call("heartbeat", heartbeat)).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringMatching(/heartbeat failed on the way: fetch failed: connect ECONNREFUSED.*Gave up after 5 attempts/),
    });
    expect(waitsMs).toEqual([250, 500, 1000, 2000]);
  });

  it("wait as long as Retry-After says, and a little more", async () => {
    const { fake, client, waitsMs } = setUp();
    fake.answers.set("POST /v1/leases/lease-1/heartbeat", () => jsonResponse(alive));
    fake.faults.push("busy", "busy");
    await client.call("heartbeat", heartbeat);
    expect(waitsMs).toEqual([3250, 3500]);
  });

  it("that would do a thing twice are not repeated, unless they were surely not done", async () => {
    const body = { name: "n", config: {} };
    for (const fault of ["lost", "cut", "refused", "badGateway"] as const) {
      const { fake, client } = setUp();
      fake.answers.set("POST /v1/runs", () => jsonResponse({}, 201));
      fake.faults.push(fault);
      if (fault === "badGateway") fake.faults.push("refused");
      await expect(client.call("createRun", { body })).rejects.toMatchObject({ code: "unavailable" });
      expect(fake.log.length).toBeLessThanOrEqual(1);
    }
    const { fake, client } = setUp();
    fake.faults.push("busy");
    fake.answers.set("POST /v1/join-tokens", () => jsonResponse({ token: "abcdefgh", line: "sheaf join", expiresAt: 1 }, 201));
    expect(await client.call("createJoinToken", { body: { uses: 1, expiresInSeconds: 60, role: "device" } })).toMatchObject({
      token: "abcdefgh",
    });
  });

  it("stop at once when they are aborted, also while nothing comes", async () => {
    for (const fault of ["hung", "stalled", "none"] as const) {
      const { fake, client } = setUp({ silenceMs: 60_000 });
      const controller = new AbortController();
      fake.faults.push(fault);
      fake.answers.set("POST /v1/leases/lease-1/heartbeat", () => jsonResponse(alive));
      const call = client.call("heartbeat", heartbeat, { signal: controller.signal });
      if (fault === "none") {
        await call;
        continue;
      }
      setTimeout(() => controller.abort(), 5);
      await expect(call).rejects.toMatchObject({ code: "interrupted" });
    }
    const { client } = setUp();
    await expect(client.call("heartbeat", heartbeat, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "interrupted" });
  });

  it("check what goes out and what comes in", async () => {
    const { fake, client } = setUp();
    await expect(client.call("heartbeat", { ...heartbeat, body: { phase: "training", progress: Number.NaN } })).rejects.toMatchObject({
      protocolCode: "invalid",
    });
    await expect(client.call("heartbeat", { ...heartbeat, leaseId: "../admin" })).rejects.toMatchObject({ protocolCode: "invalid" });
    expect(fake.log).toEqual([]);
    fake.answers.set("POST /v1/leases/lease-1/heartbeat", () => jsonResponse({ ...alive, cancel: "no" }));
    await expect(client.call("heartbeat", heartbeat)).rejects.toMatchObject({
      code: "corrupt",
      message: expect.stringContaining("cancel"),
    });
    fake.answers.set("POST /v1/leases/lease-1/heartbeat", () => jsonResponse(alive, 200, { "sheaf-protocol": "2" }));
    await expect(client.call("heartbeat", heartbeat)).rejects.toMatchObject({ protocolCode: "versionUnsupported" });
    fake.answers.set("GET /v1/runs", (request) => jsonResponse({ runs: [], url: request.url }));
    await expect(client.call("listRuns", { query: { archived: "maybe" as "true" } })).rejects.toMatchObject({ protocolCode: "invalid" });
  });

  it("send the query and the headers that they should, and follow no redirect", async () => {
    const seen: { url: string; headers: Record<string, string>; redirect: string }[] = [];
    const client = openClient({
      url: "https://fleet.example/sub/",
      credentials: viewer,
      fetch: async (url, init) => {
        seen.push({ url, ...init });
        return jsonResponse({ devices: [] });
      },
    });
    await client.call("listDevices", { query: { after: "d1", limit: "50" } });
    expect(seen[0]).toMatchObject({
      url: "https://fleet.example/sub/v1/devices?after=d1&limit=50",
      headers: { authorization: "Bearer viewer-token", "sheaf-protocol": "1" },
      redirect: "error",
    });
  });
});

describe("addresses", () => {
  it("are https, or of this machine", () => {
    const open = (url: string, allowPlainHttp = false): Client => openClient({ url, credentials: { type: "none" }, allowPlainHttp });
    for (const url of ["https://a.example:8443", "http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"]) open(url);
    open("http://192.168.1.7", true);
    for (const url of ["http://192.168.1.7", "http://localhost.evil.example", "ftp://a", "nonsense", "https://user:pass@a.example"]) {
      expect(() => open(url)).toThrow(expect.objectContaining({ code: "usage" }));
    }
  });
});

async function deviceSetUp(localSkewMs = 0, tokenMs = 600_000) {
  const { key } = await createKey();
  let now = 1_700_000_000_000;
  let skew = localSkewMs;
  const { fake, client } = setUp({ credentials: { type: "device", deviceId: "d1", serverId: "server", key }, now: () => now + skew });
  fake.now = () => now;
  fake.device = { id: "d1", publicKey: key.publicKey, tokenMs };
  fake.objects.set("5".repeat(64), bytesOf(5));
  return {
    fake,
    client,
    ask: async () => await client.objectBytes("5".repeat(64)),
    tokens: () => fake.log.filter((line) => line === "POST /v1/token").length,
    pass: (ms: number) => {
      now += ms;
    },
    jump: (ms: number) => {
      skew += ms;
    },
  };
}

describe("tokens", () => {
  it("are asked for once, renewed before they end, and shared by all who wait", async () => {
    const { ask, tokens, pass } = await deviceSetUp();
    await Promise.all([ask(), ask(), ask()]);
    expect(tokens()).toBe(1);
    pass(500_000);
    await ask();
    expect(tokens()).toBe(1);
    pass(50_000);
    await ask();
    expect(tokens()).toBe(2);
  });

  it("do not depend on the device's clock, wherever it is and however it jumps", async () => {
    for (const skew of [0, 3600e3, -3600e3, 10 * 365 * 86400e3, -50 * 365 * 86400e3]) {
      const { ask, tokens, jump, pass, client, fake } = await deviceSetUp(skew);
      expect(await ask()).toBe(5);
      expect(Math.abs(client.serverNow() - fake.now())).toBeLessThan(1000);
      for (const ms of [7200e3, -7200e3, -86400e3]) {
        jump(ms);
        pass(700_000);
        expect(await ask()).toBe(5);
      }
      expect(tokens()).toBeLessThan(12);
    }
  });

  it("are renewed when the coordinator no longer takes them, once", async () => {
    const { ask, tokens, fake } = await deviceSetUp();
    await ask();
    const now = fake.now();
    fake.now = () => now + 3_600_000;
    expect(await ask()).toBe(5);
    expect(tokens()).toBe(3);
    fake.answers.set(`HEAD /v1/objects/${"5".repeat(64)}`, () => jsonResponse({}, 401));
    const before = tokens();
    await expect(ask()).rejects.toMatchObject({ protocolCode: "unauthenticated" });
    expect(tokens() - before).toBeLessThanOrEqual(2);
  });

  it("survive a bad line without using a nonce twice", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom<Fault>("refused", "lost", "cut", "truncated", "busy", "badGateway", "none"), { maxLength: 10 }),
        async (list) => {
          const { ask, fake } = await deviceSetUp();
          fake.faults.push(...list);
          expect(await ask()).toBe(5);
        },
      ),
      { numRuns: 40 },
    );
  });

  it("are asked for anew where the line delivered a request twice and brought the second answer", async () => {
    const { ask, tokens, fake } = await deviceSetUp();
    fake.answers.set("POST /v1/token", () => {
      fake.answers.delete("POST /v1/token");
      return jsonResponse(errorBody(new ProtocolError("conflict", "The nonce was used before.")), 409);
    });
    expect(await ask()).toBe(5);
    expect(tokens()).toBe(2);
    const other = await deviceSetUp();
    other.fake.answers.set("POST /v1/token", () => jsonResponse(errorBody(new ProtocolError("conflict", "Always.")), 409));
    await expect(other.ask()).rejects.toMatchObject({ protocolCode: "conflict" });
  });

  it("are asked for again where a refusal was cut short, which alone would be final", async () => {
    const { ask, fake } = await deviceSetUp();
    fake.answers.set("POST /v1/token", () => {
      fake.answers.delete("POST /v1/token");
      const whole = JSON.stringify(errorBody(new ProtocolError("unauthenticated", "Set the clock.", { details: { now: "1" } })));
      return new Response(whole.slice(0, 20), { status: 401, headers: { "content-length": String(whole.length) } });
    });
    expect(await ask()).toBe(5);
  });

  it("are given up when the device was revoked", async () => {
    const { ask, fake } = await deviceSetUp();
    fake.answers.set("POST /v1/token", () => jsonResponse(errorBody(new ProtocolError("revoked", "Revoked by admin.")), 403));
    await expect(ask()).rejects.toMatchObject({ protocolCode: "revoked", message: "Revoked by admin." });
  });
});
