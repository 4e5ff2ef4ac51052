/** Every route against every kind of caller: what the table of routes says, and nothing else, is let in. */
import { beforeAll, describe, expect, it } from "vitest";
import { protocolErrors } from "../protocol/errors.ts";
import { type RouteName, routeNames, routes } from "../protocol/routes.ts";
import { createKey, signEnrolment } from "../protocol/signing.ts";
import { openAccessTokens } from "./accessTokens.ts";
import { addJoinToken, bodies, codeOf, data, type Fake, openFake, profile, serverId, startMs } from "./server.fixture.ts";
import { commandRoutes } from "./service.ts";

/** Kinds of callers; each has the error code of its refusal, or the role that it is let in by. */
const callers = {
  "no token": "unauthenticated",
  garbage: "unauthenticated",
  "another scheme": "unauthenticated",
  "a token without signature": "unauthenticated",
  "a forged role": "unauthenticated",
  "a token of another coordinator": "unauthenticated",
  "an expired device": "expired",
  "an expired admin": "expired",
  "a revoked admin token": "revoked",
  "a revoked device": "revoked",
  "an unknown device": "unauthenticated",
  device: "role",
  viewer: "role",
  admin: "role",
} as const;
type CallerKind = keyof typeof callers;

let fake: Fake;
const headers = {} as Record<CallerKind, Record<string, string>>;

beforeAll(async () => {
  fake = await openFake({ limits: { guesses: { perSecond: 1, burst: 1e6 }, caller: { perSecond: 1, burst: 1e6 } } });
  const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
  const admin = await fake.bearer("admin-1", "admin");
  const device = await fake.bearer("device-a", "device");
  const revoked = await fake.tokens.issue("admin-2", "admin", 60_000);
  await fake.secrets.revoke(revoked.claims.tokenId, revoked.claims.expiresAtMs);
  fake.devices.set("device-revoked", { ...fake.devices.get("device-b")!, revoked: true });
  const stranger = await openAccessTokens(new Uint8Array(32).fill(8), () => startMs);
  const [head, payload, signature] = device.split(".");
  const promoted = btoa(atob(payload!.replaceAll("-", "+").replaceAll("_", "/")).replace('"device"', '"admin"'));
  const url64 = promoted.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  Object.assign(headers, {
    "no token": {},
    garbage: bearer("garbage"),
    "another scheme": { authorization: `Basic ${admin}` },
    "a token without signature": bearer(`${head}.${payload}.`),
    "a forged role": bearer(`${head}.${url64}.${signature}`),
    "a token of another coordinator": bearer((await stranger.issue("admin-1", "admin", 60_000)).token),
    "an expired device": bearer(await fake.bearer("device-a", "device", 0)),
    "an expired admin": bearer(await fake.bearer("admin-1", "admin", -1)),
    "a revoked admin token": bearer(revoked.token),
    "a revoked device": bearer(await fake.bearer("device-revoked", "device")),
    "an unknown device": bearer(await fake.bearer("device-z", "device")),
    device: bearer(device),
    viewer: bearer(await fake.bearer("viewer-1", "viewer")),
    admin: bearer(admin),
  } satisfies Record<CallerKind, Record<string, string>>);
});

const parameters: Readonly<Record<string, () => string>> = {
  leaseId: () => "lease-a",
  runId: () => "run-1",
  deviceId: () => "device-b",
  uploadId: () => "0".repeat(32),
  sha256: () => fake.input,
};

async function send(name: RouteName, kind: CallerKind): Promise<Response> {
  const { method, path, parameter } = routes[name];
  const at = parameter ? path.replace(`:${parameter}`, parameters[parameter]!()) : path;
  const extra = name === "appendUpload" ? { "upload-offset": "0" } : {};
  const response = await fake.call(method, at, { body: bodies[name], headers: { ...headers[kind], ...extra } });
  return response;
}

/** Routes whose success needs more than a role; what a caller with the role gets here instead. */
const beyondRole: Partial<Record<RouteName, number>> = { enrol: 415, invitation: 415, token: 415, signIn: 415, appendUpload: 404 };

describe.each(routeNames)("%s", (name) => {
  it.each(Object.keys(callers) as CallerKind[])("for %s", async (kind) => {
    const { roles, status } = routes[name];
    const response = await send(name, kind);
    const allowed = roles.includes("public") || (callers[kind] === "role" && (roles as readonly string[]).includes(kind));
    if (allowed) {
      expect(response.status).toBe(beyondRole[name] ?? status);
      await response.body?.cancel();
      return;
    }
    const code = callers[kind] === "role" ? "forbidden" : callers[kind];
    expect(response.status).toBe(protocolErrors[code].status);
    if (routes[name].method !== "HEAD") expect(await codeOf(response)).toBe(code);
    expect(response.headers.has("www-authenticate")).toBe(response.status === 401);
    expect(response.headers.get("sheaf-protocol")).toBe("1");
  });
});

describe("a refused caller", () => {
  it("reaches no command", async () => {
    fake.commands.length = 0;
    for (const name of commandRoutes) {
      for (const kind of Object.keys(callers) as CallerKind[]) if (callers[kind] !== "role") await send(name, kind);
    }
    expect(fake.commands).toEqual([]);
  });

  it("learns nothing from a body: the token is looked at first", async () => {
    const response = await fake.call("POST", "/v1/runs", { body: "not json", headers: headers.viewer });
    expect(response.status).toBe(403);
  });
});

describe("another device's things", () => {
  // The matrix above revokes it.
  beforeAll(() => {
    fake.devices.get("device-b")!.revoked = false;
  });

  it.each(["heartbeat", "complete", "fail"] as const)(
    "%s of another's lease is forbidden, of a lapsed one lost, of none not found",
    async (name) => {
      const path = (lease: string): string => `/v1/leases/${lease}/${name}`;
      const other = await fake.bearer("device-b", "device");
      const own = await fake.bearer("device-a", "device");
      expect((await fake.call("POST", path("lease-a"), { token: own, body: bodies[name] })).status).toBe(200);
      expect((await fake.call("POST", path("lease-a"), { token: other, body: bodies[name] })).status).toBe(403);
      expect((await fake.call("POST", path("lease-lost"), { token: own, body: bodies[name] })).status).toBe(410);
      expect((await fake.call("POST", path("lease-none"), { token: own, body: bodies[name] })).status).toBe(404);
    },
  );

  it("its identity is not had by knowing its public key, even with a join token", async () => {
    const joinToken = await addJoinToken(fake);
    const { key: thief } = await createKey();
    const { publicKey } = fake.devices.get("device-b")!.key;
    const facts = { joinToken, name: "device-b", profile, data, software: "sheaf" };
    const claim = await signEnrolment({ publicKey, sign: thief.sign }, facts, serverId, startMs);
    const response = await fake.call("POST", "/v1/enrol", { body: claim });
    expect([response.status, await codeOf(response)]).toEqual([401, "unauthenticated"]);
  });

  it("an object that no lease of the device names is not found, whether it is there or not", async () => {
    const other = await fake.bearer("device-b", "device");
    const own = await fake.bearer("device-a", "device");
    const secret = await fake.objects.put(new TextEncoder().encode("somebody's model"));
    for (const method of ["GET", "HEAD"]) {
      expect((await fake.call(method, `/v1/objects/${fake.input}`, { token: own })).status).toBe(200);
      expect((await fake.call(method, `/v1/objects/${fake.input}`, { token: other })).status).toBe(404);
      expect((await fake.call(method, `/v1/objects/${secret.sha256}`, { token: own })).status).toBe(404);
      expect((await fake.call(method, `/v1/objects/${"0".repeat(64)}`, { token: own })).status).toBe(404);
    }
  });

  it("an upload is continued by its owner alone, and begun by a device with a lease alone", async () => {
    const own = await fake.bearer("device-a", "device");
    const other = await fake.bearer("device-b", "device");
    expect((await fake.call("POST", "/v1/uploads", { token: other, body: bodies.startUpload })).status).toBe(403);
    const { uploadId } = (await (await fake.call("POST", "/v1/uploads", { token: own, body: bodies.startUpload })).json()) as {
      uploadId: string;
    };
    const chunk = { body: new Uint8Array(2), headers: { "upload-offset": "0" } };
    for (const token of [other, await fake.bearer("admin-1", "admin")]) {
      expect((await fake.call("PATCH", `/v1/uploads/${uploadId}`, { ...chunk, token })).status).toBe(404);
    }
    expect((await fake.call("PATCH", `/v1/uploads/${uploadId}`, { ...chunk, token: own })).status).toBe(200);
  });
});
