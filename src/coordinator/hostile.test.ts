/** What hostile strangers send to the server: refused with the right status, and the server goes on. */
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { errorBodySchema } from "../protocol/errors.ts";
import { routeNames, routes } from "../protocol/routes.ts";
import { SheafError } from "../util/errors.ts";
import { bodies, callersOf, codeOf, type Fake, openFake, textOf } from "./server.fixture.ts";

let fake: Fake;
let device: string;
let admin: string;
let viewer: string;
beforeEach(async () => {
  fake = await openFake();
  ({ device, admin, viewer } = await callersOf(fake));
});

describe("hostile requests", () => {
  const post = (body: unknown, headers: Record<string, string> = { "content-type": "application/json" }): Promise<Response> =>
    fake.call("POST", "/v1/runs", { token: admin, body, headers });

  it.each([
    ["no JSON", "not json", 400],
    ["cut JSON", '{"name":"x"', 400],
    ["another type", "[]", 400],
    ["an unknown key", '{"name":"x","config":{},"extra":1}', 400],
    ["a prototype", '{"name":"x","config":{},"__proto__":{"admin":true}}', 400],
    ["a control character", '{"name":"x\\u0000","config":{}}', 400],
    ["a deep nest", `{"name":"x","config":${'{"a":'.repeat(5000)}1${"}".repeat(5001)}`, 400],
    ["very deep brackets", "[".repeat(500_000), 400],
    ["bytes that are no UTF-8", new Uint8Array([0x22, 0xff, 0xfe, 0x22]), 400],
    ["too much", `"${"x".repeat(2 ** 20)}"`, 413],
    ["nothing", "", 400],
  ])("%s", async (_, body, status) => {
    const response = await post(body);
    expect(response.status).toBe(status);
    expect(errorBodySchema.safeParse(await response.json()).success).toBe(true);
    expect(fake.commands).toEqual([]);
  });

  it.each(["gzip", "br", "deflate", "gzip, gzip", "zstd", "unknown"])(
    "a body in content encoding %s is refused unread",
    async (encoding) => {
      let pulled = false;
      const pull = (): void => {
        pulled = true;
      };
      const body = new ReadableStream({ pull }, { highWaterMark: 0 });
      const response = await post(body, { "content-type": "application/json", "content-encoding": encoding });
      expect(response.status).toBe(415);
      expect(pulled).toBe(false);
    },
  );

  it.each(["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonp"])(
    "a JSON body as %j is refused",
    async (type) => {
      expect((await post('{"name":"x","config":{}}', { "content-type": type })).status).toBe(415);
    },
  );

  it.each([
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e",
    "..",
    "../../../../etc/passwd",
    "%00",
    `${"a".repeat(63)}%0a`,
    "A".repeat(64),
    "a".repeat(65),
    `${"a".repeat(64)}%00`,
    "%E0%A4%A",
    "<script>",
    "'%20OR%201=1",
  ])("object name %s is not found", async (name) => {
    const response = await fake.call("GET", `/v1/objects/${name}`, { token: admin });
    expect(response.status).toBe(404);
    const upload = await fake.call("PATCH", `/v1/uploads/${name}`, {
      token: device,
      body: new Uint8Array(1),
      headers: { "upload-offset": "0" },
    });
    expect(upload.status).toBe(404);
  });

  it("unknown paths, methods, versions and bodies where none belongs are refused by name", async () => {
    expect((await fake.call("GET", "/v1/nothing")).status).toBe(404);
    expect((await fake.call("GET", "/")).status).toBe(404);
    for (const method of ["DELETE", "PUT", "OPTIONS"]) expect((await fake.call(method, "/v1/runs", { token: admin })).status).toBe(405);
    expect((await fake.call("HEAD", "/v1/runs/run-1/events", { token: viewer })).status).toBe(405);
    const newer = await fake.call("GET", "/v1/runs", { token: viewer, headers: { "sheaf-protocol": "2" } });
    expect(await codeOf(newer)).toBe("versionUnsupported");
    expect((await fake.call("POST", "/v1/runs/run-1/pause", { token: admin, body: "x" })).status).toBe(413);
    expect((await fake.call("GET", "/v1/runs?archived=perhaps", { token: viewer })).status).toBe(400);
    expect((await fake.call("GET", "/v1/runs?other=1", { token: viewer })).status).toBe(400);
  });

  it("a defect behind the server is told by its number alone, and a full disk as such", async () => {
    fake.fault = new Error("secret detail");
    const response = await fake.call("GET", "/v1/runs", { token: viewer });
    expect(response.status).toBe(500);
    const body = await textOf(response);
    expect(body).not.toContain("secret detail");
    expect(body).toContain(response.headers.get("request-id"));
    fake.fault = new SheafError("storage", "Cannot write /data/log: the disk is full.");
    const full = await fake.call("GET", "/v1/runs", { token: viewer });
    expect(full.status).toBe(507);
    expect(await textOf(full)).not.toContain("/data");
    fake.fault = undefined;
    expect((await fake.call("GET", "/v1/runs", { token: viewer })).status).toBe(200);
  });

  it("any JSON to any route ends in an answer of the protocol, and the server goes on", async () => {
    fake = await openFake({ limits: { caller: { perSecond: 1, burst: 1e6 }, guesses: { perSecond: 1, burst: 1e6 } } });
    const withBody = routeNames.filter((name) => typeof routes[name].request !== "string");
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...withBody), fc.json({ maxDepth: 3 }), fc.boolean(), async (name, json, mutate) => {
        const { method, path } = routes[name];
        const valid = bodies[name];
        const body =
          mutate && valid ? JSON.stringify({ ...(valid as object), [Object.keys(valid as object)[0]!]: JSON.parse(json) }) : json;
        const at = path.replace(":leaseId", "lease-a").replace(":runId", "run-1");
        for (const token of [device, admin]) {
          const response = await fake.call(method, at, { token, body, headers: { "content-type": "application/json" } });
          expect([200, 201, 400, 401, 403, 413]).toContain(response.status);
          if (!response.ok) expect(errorBodySchema.safeParse(await response.json()).success).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
    expect((await fake.call("GET", "/healthz")).status).toBe(200);
  });
});
