import { beforeEach, describe, expect, it } from "vitest";
import { protocolErrors } from "../protocol/errors.ts";
import { createKey, type DeviceKey, signEnrolment, signTokenRequest, toBase64 } from "../protocol/signing.ts";
import { sha256 } from "./bytes.ts";
import {
  addJoinToken,
  bodies,
  callersOf,
  codeOf,
  data,
  type Fake,
  openFake,
  profile,
  serverId,
  startMs,
  textOf,
} from "./server.fixture.ts";

let fake: Fake;
let device: string;
let admin: string;
let viewer: string;
beforeEach(async () => {
  fake = await openFake();
  ({ device, admin, viewer } = await callersOf(fake));
});

describe("enrolment and tokens", () => {
  const enrolment = (joinToken: string, key: DeviceKey, name = "device-c", audience = serverId, at = fake.clock.nowMs) =>
    signEnrolment(key, { joinToken, name, profile, data, software: "sheaf/1" }, audience, at);
  const enrol = async (...of: Parameters<typeof enrolment>): Promise<Response> =>
    fake.call("POST", "/v1/enrol", { body: await enrolment(...of) });

  it("a join token lets in as many devices as it has uses, and a device again", async () => {
    const join = await addJoinToken(fake, 2);
    const keys = await Promise.all([1, 2, 3].map(async () => (await createKey()).key));
    const first = (await (await enrol(join, keys[0]!)).json()) as { deviceId: string; accessToken: string; serverId: string };
    expect(first).toMatchObject({ deviceId: "device-c", serverId });
    expect((await fake.call("POST", "/v1/offers", { token: first.accessToken, body: bodies.offer })).status).toBe(200);
    expect((await enrol(join, keys[0]!)).status).toBe(200);
    expect((await enrol(join, keys[1]!, "device-d")).status).toBe(200);
    expect((await enrol(join, keys[2]!, "device-e")).status).toBe(401);
    fake.clock.nowMs += 1000;
    expect((await enrol(join, keys[0]!)).status).toBe(401);
    expect((await enrol("wrong-token", keys[0]!)).status).toBe(401);
  });

  it("a join token tells what it invites to, without being used up, and nobody else is told", async () => {
    const joinToken = await addJoinToken(fake, 1);
    const ask = (text: string): Promise<Response> => fake.call("POST", "/v1/invitation", { body: { joinToken: text } });
    for (let i = 0; i < 3; i++) expect(await (await ask(joinToken)).json()).toEqual({ serverId, runs: [] });
    expect((await enrol(joinToken, (await createKey()).key)).status).toBe(200);
    expect((await ask("wrong-token")).status).toBe(401);
    fake.clock.nowMs += 1000;
    expect((await ask(joinToken)).status).toBe(401);
  });

  it("a revoked device cannot enrol again with its key", async () => {
    const join = await addJoinToken(fake);
    fake.devices.get("device-a")!.revoked = true;
    const response = await enrol(join, fake.devices.get("device-a")!.key);
    expect(await codeOf(response)).toBe("revoked");
  });

  it("an enrolment needs the secret of its key, this coordinator, its time and a nonce that has not served", async () => {
    const join = await addJoinToken(fake, 9);
    const [{ key }, { key: thief }] = await Promise.all([createKey(), createKey()]);
    const send = (body: unknown): Promise<Response> => fake.call("POST", "/v1/enrol", { body });
    const good = await enrolment(join, key);
    const refusedAs = async (body: unknown, code: string): Promise<void> => {
      const response = await send(body);
      expect([response.status, await codeOf(response)]).toEqual([protocolErrors[code as "conflict"].status, code]);
    };
    const changes: object[] = [
      { publicKey: thief.publicKey },
      { publicKey: fake.devices.get("device-a")!.key.publicKey },
      { name: "device-b" },
      { profile: { ...profile, macsPerSecond: 2e9 } },
      { data: { ...data, counts: [5, 8] } },
      { preferredClasses: ["cat"] },
      { joinToken: `${join}x` },
      { at: startMs + 1 },
      { nonce: toBase64(new Uint8Array(16)) },
      { signature: toBase64(new Uint8Array(64)) },
    ];
    for (const change of changes) await refusedAs({ ...good, ...change }, "unauthenticated");
    await refusedAs(await enrolment(join, key, "device-c", "server-2"), "unauthenticated");
    const { signature: _, ...bare } = good;
    await refusedAs(bare, "invalid");
    for (const at of [startMs - 6 * 60_000, startMs + 6 * 60_000]) {
      const late = (await (await send(await enrolment(join, key, "device-c", serverId, at))).json()) as { error: unknown };
      expect(late.error).toMatchObject({ code: "unauthenticated", details: { now: String(startMs) } });
    }
    // A token request of the same key is no enrolment.
    const { deviceId: __, ...request } = await signTokenRequest(key, "device-c", serverId, startMs);
    await refusedAs({ ...good, ...request }, "unauthenticated");
    // Nobody was let in, and nothing of the refused served: the good one is still good, once.
    expect(fake.devices.size).toBe(3);
    expect((await fake.secrets.joinTokens()).map(({ uses }) => uses)).toEqual([9]);
    expect((await send(good)).status).toBe(200);
    await refusedAs(good, "conflict");
    fake.clock.nowMs += 6 * 60_000;
    await fake.secrets.forget(fake.clock.nowMs);
    await refusedAs(good, "unauthenticated");
  });

  const ask = async (change: object = {}, at = startMs, id = "device-a", audience = serverId): Promise<Response> => {
    const request = await signTokenRequest(fake.devices.get("device-a")!.key, id, audience, at);
    return fake.call("POST", "/v1/token", { body: { ...request, ...change } });
  };

  it("a device gets a token for its signature", async () => {
    const grant = (await (await ask()).json()) as { accessToken: string; expiresAt: number; now: number };
    expect(grant).toMatchObject({ expiresAt: startMs + 15 * 60_000, now: startMs });
    expect((await fake.call("POST", "/v1/offers", { token: grant.accessToken, body: bodies.offer })).status).toBe(200);
    fake.clock.nowMs = grant.expiresAt;
    expect(await codeOf(await fake.call("POST", "/v1/offers", { token: grant.accessToken, body: bodies.offer }))).toBe("expired");
  });

  it("refuses replays, other signers, other audiences, other times and revoked devices", async () => {
    const request = await signTokenRequest(fake.devices.get("device-a")!.key, "device-a", serverId, startMs);
    const send = (): Promise<Response> => fake.call("POST", "/v1/token", { body: request });
    expect((await send()).status).toBe(200);
    expect(await codeOf(await send())).toBe("conflict");
    expect(await codeOf(await ask({}, startMs, "device-b"))).toBe("unauthenticated");
    expect(await codeOf(await ask({}, startMs, "device-z"))).toBe("unauthenticated");
    expect(await codeOf(await ask({}, startMs, "device-a", "server-2"))).toBe("unauthenticated");
    expect(await codeOf(await ask({ at: startMs + 1 }))).toBe("unauthenticated");
    expect(await codeOf(await ask({ nonce: toBase64(new Uint8Array(16)) }))).toBe("unauthenticated");
    const late = (await (await ask({}, startMs - 6 * 60_000)).json()) as { error: unknown };
    expect(late.error).toMatchObject({ code: "unauthenticated", details: { now: String(startMs) } });
    fake.devices.get("device-a")!.revoked = true;
    expect(await codeOf(await ask())).toBe("revoked");
  });

  it("a captured request is worth nothing after its time either", async () => {
    const request = await signTokenRequest(fake.devices.get("device-a")!.key, "device-a", serverId, startMs);
    await fake.call("POST", "/v1/token", { body: request });
    for (const passedMs of [1000, 5 * 60_000, 5 * 60_000 + 1, 6 * 60_000, 3_600_000]) {
      fake.clock.nowMs = startMs + passedMs;
      await fake.secrets.forget(fake.clock.nowMs);
      expect((await fake.call("POST", "/v1/token", { body: request })).status).not.toBe(200);
    }
  });

  it("an admin makes tokens for each role, which are noted without being told", async () => {
    for (const role of ["device", "viewer", "admin"] as const) {
      const body = { uses: 1, expiresInSeconds: 60, role };
      const response = await fake.call("POST", "/v1/join-tokens", { token: admin, body });
      expect(response.status).toBe(201);
      const { token, line, expiresAt } = (await response.json()) as { token: string; line: string; expiresAt: number };
      expect(line).toContain(token);
      expect(expiresAt).toBe(startMs + 60_000);
      if (role === "device") expect((await enrol(token, (await createKey()).key)).status).toBe(200);
      else expect((await fake.call("GET", "/v1/runs", { token })).status).toBe(200);
    }
    expect(fake.notes.map(({ role }) => role)).toEqual(["device", "viewer", "admin"]);
    expect(JSON.stringify([fake.notes, await fake.secrets.joinTokens()])).not.toMatch(/sheafjoin-|sheaf1\./);
  });

  it("a dashboard's address lets one person in, once, and no device", async () => {
    const invite = async (role: string): Promise<string> => {
      const body = { uses: 9, expiresInSeconds: 60, role };
      const { dashboard } = (await (await fake.call("POST", "/v1/join-tokens", { token: admin, body })).json()) as { dashboard: string };
      return new URL(dashboard).hash.slice(1);
    };
    const signIn = (signInToken: string): Promise<Response> => fake.call("POST", "/v1/sign-in", { body: { signInToken } });
    for (const role of ["viewer", "admin"]) {
      const signInToken = await invite(role);
      const response = await signIn(signInToken);
      expect(response.status).toBe(200);
      const { accessToken, role: got } = (await response.json()) as { accessToken: string; role: string };
      expect(got).toBe(role);
      expect((await fake.call("GET", "/v1/runs", { token: accessToken })).status).toBe(200);
      expect((await fake.call("POST", "/v1/runs", { token: accessToken, body: bodies.createRun })).status).toBe(
        role === "admin" ? 201 : 403,
      );
      expect((await signIn(signInToken)).status).toBe(401);
    }
    expect((await enrol(await invite("admin"), (await createKey()).key)).status).toBe(401);
    expect((await signIn(await addJoinToken(fake))).status).toBe(401);
    const late = await invite("viewer");
    fake.clock.nowMs = startMs + 60_000;
    expect((await signIn(late)).status).toBe(401);
    expect(JSON.stringify([fake.notes, fake.lines, await fake.secrets.joinTokens()])).not.toContain("sheafsignin-");
  });

  it("no secret reaches the log", async () => {
    const join = await addJoinToken(fake);
    const { key } = await createKey();
    await enrol(join, key);
    await enrol(`${join}x`, key);
    await fake.call("GET", `/v1/runs?token=${admin}`, { token: admin });
    await fake.call("GET", `/${admin}`, { token: `${device}x` });
    fake.fault = new Error(`failed with Bearer ${admin} and ${join}`);
    await fake.call("POST", "/v1/offers", { token: device, body: bodies.offer });
    const log = fake.lines.join("\n");
    expect(log).toContain("defect");
    for (const secret of [join, admin, device, admin.split(".")[2]!]) expect(log).not.toContain(secret);
    for (const line of fake.lines) expect(JSON.parse(line)).toHaveProperty("level");
  });
});

describe("objects", () => {
  const get = (headers: Record<string, string> = {}, method = "GET"): Promise<Response> =>
    fake.call(method, `/v1/objects/${fake.input}`, { token: device, headers });

  it.each([
    ["bytes=0-3", 206, "0123", "bytes 0-3/10"],
    ["bytes=4-", 206, "456789", "bytes 4-9/10"],
    ["bytes=-3", 206, "789", "bytes 7-9/10"],
    ["bytes=-30", 206, "0123456789", "bytes 0-9/10"],
    ["bytes=8-99", 206, "89", "bytes 8-9/10"],
    ["bytes=0-0", 206, "0", "bytes 0-0/10"],
    ["bytes=5-2", 200, "0123456789", null],
    ["bytes=0-1,3-4", 200, "0123456789", null],
    ["items=0-1", 200, "0123456789", null],
    ["bytes=x-1", 200, "0123456789", null],
    ["bytes=-", 200, "0123456789", null],
  ] as const)("range %s", async (range, status, content, contentRange) => {
    const response = await get({ range });
    expect(response.status).toBe(status);
    expect(response.headers.get("content-range")).toBe(contentRange);
    expect(response.headers.get("content-length")).toBe(String(content.length));
    expect(await textOf(response)).toBe(content);
  });

  it.each(["bytes=10-", "bytes=99-100", "bytes=-0"])("range %s lies outside", async (range) => {
    expect(await codeOf(await get({ range }))).toBe("rangeNotSatisfiable");
  });

  it("heads, conditions and tags", async () => {
    const head = await get({}, "HEAD");
    expect(head.headers.get("content-length")).toBe("10");
    expect(await textOf(head)).toBe("");
    const tag = head.headers.get("etag")!;
    expect((await get({ "if-none-match": tag })).status).toBe(304);
    expect((await get({ range: "bytes=0-1", "if-range": tag })).status).toBe(206);
    expect((await get({ range: "bytes=0-1", "if-range": '"other"' })).status).toBe(200);
  });

  it("the model has a name of its own", async () => {
    const response = await fake.call("GET", "/v1/runs/run-1/model", { token: viewer });
    expect(response.headers.get("content-disposition")).toContain("model.onnx");
    expect(await textOf(response)).toBe("0123456789");
    expect((await fake.call("GET", "/v1/runs/run-2/model", { token: viewer })).status).toBe(404);
  });
});

describe("uploads", () => {
  const content = new TextEncoder().encode("a sheaf of wheat");
  const begin = async (): Promise<{ uploadId: string; offset: number; done: boolean }> => {
    const body = { sha256: await sha256(content), bytes: content.length };
    return (await fake.call("POST", "/v1/uploads", { token: device, body })).json() as never;
  };
  const append = (uploadId: string, offset: string, body: Uint8Array | ReadableStream): Promise<Response> =>
    fake.call("PATCH", `/v1/uploads/${uploadId}`, { token: device, body, headers: { "upload-offset": offset } });

  it("go on where they were cut, and end with the right bytes", async () => {
    const { uploadId } = await begin();
    expect(await (await append(uploadId, "0", content.slice(0, 5))).json()).toEqual({ uploadId, offset: 5, done: false });
    const cut = new ReadableStream({
      start: (controller) => controller.enqueue(content.slice(5, 8)),
      pull: (controller) => controller.error(new Error("cut")),
    });
    expect((await append(uploadId, "5", cut)).status).toBeGreaterThanOrEqual(400);
    const { offset } = await begin();
    expect(offset).toBe(8);
    expect(await (await append(uploadId, "8", content.slice(8))).json()).toEqual({ uploadId, offset: 16, done: true });
    expect((await begin()).done).toBe(true);
    expect((await fake.objects.find(await sha256(content)))?.bytes).toBe(16);
  });

  it("refuse a replayed chunk, bytes beyond the end, wrong bytes and odd offsets", async () => {
    const { uploadId } = await begin();
    await append(uploadId, "0", content.slice(0, 5));
    const replayed = (await (await append(uploadId, "0", content.slice(0, 5))).json()) as { error: unknown };
    expect(replayed.error).toMatchObject({ code: "conflict", details: { offset: "5" } });
    expect(await codeOf(await append(uploadId, "5", new Uint8Array(12)))).toBe("tooLarge");
    for (const odd of ["", "-1", "1e3", "0x5", "5 5", "9".repeat(16), "NaN"]) {
      expect(await codeOf(await append(uploadId, odd, content.slice(5)))).toBe("invalid");
    }
    expect(await codeOf(await append(uploadId, "5", new Uint8Array(11)))).toBe("unacceptable");
    expect(await begin()).toMatchObject({ offset: 0, done: false });
    expect(await codeOf(await append("f".repeat(32), "0", content))).toBe("notFound");
  });

  it("refuse an object that is too large before a byte is sent", async () => {
    const body = { sha256: "c".repeat(64), bytes: 2 ** 31 + 1 };
    expect(await codeOf(await fake.call("POST", "/v1/uploads", { token: device, body }))).toBe("tooLarge");
  });

  it("refuse a chunk that is larger than a chunk may be, announced or not", async () => {
    const body = { sha256: "d".repeat(64), bytes: 2 ** 30 };
    const { uploadId } = (await (await fake.call("POST", "/v1/uploads", { token: device, body })).json()) as { uploadId: string };
    const announced = { token: device, body: "x", headers: { "upload-offset": "0", "content-length": "99999999999" } };
    expect(await codeOf(await fake.call("PATCH", `/v1/uploads/${uploadId}`, announced))).toBe("tooLarge");
    let pulled = 0;
    const endless = new ReadableStream({
      pull(controller) {
        pulled++;
        controller.enqueue(new Uint8Array(1 << 20));
      },
    });
    expect(await codeOf(await append(uploadId, "0", endless))).toBe("tooLarge");
    expect(pulled).toBeLessThan(15);
  });
});

describe("events", () => {
  const watch = (headers: Record<string, string> = {}, run = "run-1"): Promise<Response> =>
    fake.call("GET", `/v1/runs/${run}/events`, { token: viewer, headers });
  const readUntil = async (response: Response, part: string): Promise<string> => {
    const reader = response.body!.getReader();
    let seen = "";
    while (!seen.includes(part)) seen += new TextDecoder().decode((await reader.read()).value);
    await reader.cancel();
    return seen;
  };

  it("come as they happen, after the last one seen", async () => {
    const all = await readUntil(await watch(), "id: 3\n");
    expect(all).toMatch(/id: 1\nevent: offer\.leased\ndata: \{.*"line":"a\\nb".*\}\n\n/);
    const rest = await readUntil(await watch({ "last-event-id": "2" }), "id: 3\n");
    expect(rest).not.toContain("id: 2\n");
    expect((await watch({ "last-event-id": "100" })).status).toBe(204);
    expect((await watch({ "last-event-id": "x" })).status).toBe(400);
    expect((await watch({}, "run-2")).status).toBe(404);
  });

  it("are for a limited number of watchers; one that leaves makes room", async () => {
    fake = await openFake({ limits: { watchers: 1 } });
    const first = await watch();
    expect(await codeOf(await watch())).toBe("unavailable");
    await first.body!.cancel();
    expect((await watch({}, "run-2")).status).toBe(404);
    const next = await watch();
    expect(next.status).toBe(200);
    await next.body!.cancel();
  });

  it("end when the server closes, as do long polls", async () => {
    const reader = (await watch()).body!.getReader();
    const poll = fake.call("POST", "/v1/offers", { token: await fake.bearer("device-waiting", "device"), body: bodies.offer });
    while (fake.commands.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await fake.server.close();
    expect((await poll).status).toBe(200);
    for (let done = false; !done; ) done = (await reader.read()).done;
    expect(await codeOf(await fake.call("GET", "/healthz"))).toBe("unavailable");
    // That is no fault of anybody's.
    expect(JSON.parse(fake.lines.at(-1) ?? "{}")).toMatchObject({ level: "info", status: 503 });
  });

  it("end when the watcher's token expires", async () => {
    viewer = await fake.bearer("viewer-1", "viewer", 30);
    const reader = (await watch()).body!.getReader();
    for (let done = false; !done; ) done = (await reader.read()).done;
  });
});

describe("limits", () => {
  it("a caller who asks too often waits, and others do not", async () => {
    fake = await openFake({ limits: { caller: { perSecond: 1, burst: 2 } } });
    const offer = (token: string): Promise<Response> => fake.call("POST", "/v1/offers", { token, body: bodies.offer });
    expect([(await offer(device)).status, (await offer(device)).status]).toEqual([200, 200]);
    const refused = await offer(device);
    expect(refused.status).toBe(429);
    expect(refused.headers.get("retry-after")).toBe("1");
    expect((await offer(await fake.bearer("device-b", "device"))).status).toBe(200);
    fake.clock.nowMs += 1000;
    expect((await offer(device)).status).toBe(200);
  });

  it("an address that asks too often waits", async () => {
    fake = await openFake({ limits: { address: { perSecond: 1, burst: 1 } } });
    const health = (address: string): Promise<Response> => fake.server.fetch(new Request("http://coordinator.test/healthz"), address);
    expect((await health("a")).status).toBe(200);
    expect((await health("a")).status).toBe(429);
    expect((await health("b")).status).toBe(200);
  });

  it("an address that guesses tokens must wait, also with a right one; what is right is not counted", async () => {
    fake = await openFake({ limits: { guesses: { perSecond: 1, burst: 3 } } });
    const runs = async (token: string): Promise<number> => (await fake.call("GET", "/v1/runs", { token })).status;
    for (let i = 0; i < 10; i++) expect(await runs(admin)).toBe(200);
    expect([await runs("guess"), await runs("guess"), await runs("guess"), await runs("guess"), await runs(admin)]).toEqual([
      401, 401, 401, 429, 429,
    ]);
    fake.clock.nowMs += 1000;
    expect(await runs(admin)).toBe(200);
  });

  it("a body that stops coming is given up", async () => {
    fake = await openFake({ bodyIdleMs: 20 });
    const silent = new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode('{"name":')) });
    const options = { token: admin, body: silent, headers: { "content-type": "application/json" } };
    expect(await codeOf(await fake.call("POST", "/v1/runs", options))).toBe("requestTimeout");
  });
});

describe("for operators", () => {
  it("health, metrics, audit and the description are served", async () => {
    expect(await (await fake.call("GET", "/healthz")).json()).toMatchObject({ status: "ok", serverId });
    await fake.call("GET", "/v1/runs", { token: viewer });
    const metrics = await textOf(await fake.call("GET", "/metrics", { token: viewer }));
    expect(metrics).toContain('sheaf_http_requests_total{route="listRuns",status="200"} 1\n');
    expect(metrics).toMatch(/# TYPE sheaf_http_request_seconds histogram\n/);
    expect(metrics).toMatch(/sheaf_http_request_seconds_bucket\{route="health",le="\+Inf"\} 1\n/);
    const audit = await textOf(await fake.call("GET", "/v1/audit?after=1", { token: admin }));
    expect(
      audit
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).sequence),
    ).toEqual([2, 3]);
    expect(await (await fake.call("GET", "/v1/openapi.json")).json()).toMatchObject({ openapi: "3.1.0" });
  });
});
