import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toyDataset } from "../../test/fixtures/toyJob.ts";
import type { Fetch } from "../protocol/exchange.ts";
import type { Enrolment } from "../protocol/messages.ts";
import { sleep } from "../protocol/retry.ts";
import { verifyEnrolment, verifyTokenRequest } from "../protocol/signing.ts";
import { agentFiles } from "./agentState.node.ts";
import { joinFleet } from "./joinNode.node.ts";
import { type JoinOptions, join } from "./link.ts";
import { summarizeData, whyUnwanted } from "./ownData.ts";
import { memoryState } from "./state.ts";

const profile = { macsPerSecond: 1e9, memoryBytes: 1e9, bandwidthBitsPerSecond: 1e6 };
const timing = { attempts: 2, sleep: (_: number, signal?: AbortSignal) => sleep(0, signal) };
const url = "https://coordinator:8443";

interface Seen {
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly authorization: string | undefined;
}

/** A coordinator that is only fetch: it enrols, hands out tokens to whoever signs rightly, and has no work. */
function coordinator(serverId = "server1") {
  const seen: Seen[] = [];
  const keys = new Map<string, string>();
  let isAway = false;
  let clockJumps = 0;
  let repeats = 0;
  let onOffer: () => void = () => undefined;
  const answer = (value: unknown, status = 200): Response => new Response(JSON.stringify(value), { status });
  const refuse = (code: string, status: number, details = {}): Response =>
    answer({ error: { code, message: `${code}.`, details } }, status);
  const grant = { accessToken: "token-12345678", expiresAt: Date.now() + 3_600_000, now: Date.now() };
  const fetch: Fetch = async (address, { body, headers }) => {
    if (isAway) throw new TypeError("fetch failed");
    const { pathname } = new URL(address);
    const value = typeof body === "string" ? (JSON.parse(body) as Record<string, unknown>) : {};
    seen.push({ path: pathname, body: value, authorization: headers.authorization });
    switch (pathname) {
      case "/healthz":
        return answer({ status: "ok", protocol: 1, serverId, now: Date.now() });
      case "/v1/openapi.json":
        return answer({ openapi: "3.1.0" });
      case "/v1/invitation":
        return value.joinToken === "join-token-1" ? answer({ serverId, runs: [] }) : refuse("unauthenticated", 401);
      case "/v1/enrol": {
        if (repeats-- > 0) return refuse("conflict", 409);
        if (clockJumps-- > 0) return refuse("unauthenticated", 401, { now: String(Date.now() + 1e7) });
        const isSigned = await verifyEnrolment(value as unknown as Enrolment, serverId);
        if (!isSigned || value.joinToken !== "join-token-1") return refuse("unauthenticated", 401);
        const deviceId = `device-${keys.size + 1}`;
        keys.set(deviceId, value.publicKey as string);
        return answer({ ...grant, deviceId, serverId });
      }
      case "/v1/token": {
        const request = value as unknown as Parameters<typeof verifyTokenRequest>[1];
        const isRight = await verifyTokenRequest(keys.get(request.deviceId) ?? "", request, serverId);
        return isRight ? answer(grant) : refuse("unauthenticated", 401);
      }
      case "/v1/offers":
        if (headers.authorization !== "Bearer token-12345678") return refuse("unauthenticated", 401);
        onOffer();
        return answer({ offer: null, retryAfterMs: 0, now: Date.now() });
      default:
        return refuse("notFound", 404);
    }
  };
  return {
    fetch,
    seen,
    paths: () => seen.splice(0).map(({ path }) => path),
    setAway: (value: boolean) => {
      isAway = value;
    },
    repeat: (times: number) => {
      repeats = times;
    },
    jump: (times: number) => {
      clockJumps = times;
    },
    set onOffer(value: () => void) {
      onOffer = value;
    },
  };
}

const optionsOf = async (fetch: Fetch, changes: Partial<JoinOptions> = {}): Promise<JoinOptions> => ({
  url,
  state: memoryState(),
  name: "toaster",
  summary: await summarizeData(toyDataset(12), false),
  profile: async () => profile,
  software: "sheaf/test",
  fetch,
  timing,
  ...changes,
});
const askForWork = { waitMs: 0, capabilities: { kinds: ["train"] as const } };

describe("join", () => {
  it("enrols once and comes back by its key alone", async () => {
    const server = coordinator();
    const options = await optionsOf(server.fetch);
    const first = await join({ ...options, joinToken: "join-token-1" });
    expect(first).toMatchObject({ isNew: true, enrolled: { url, serverId: "server1", deviceId: "device-1" } });
    expect(server.seen.at(-1)?.body).toMatchObject({ name: "toaster", profile, data: { counts: [4, 4, 4] } });
    server.paths();
    const second = await join(options);
    expect([second.isNew, second.enrolled]).toEqual([false, first.enrolled]);
    expect(server.paths()).toEqual([]);
    await second.link.offer(askForWork, new AbortController().signal);
    expect(server.paths()).toEqual(["/v1/token", "/v1/offers"]);
  });

  it("needs a token the first time, and says whose it lacks", async () => {
    const server = coordinator();
    await expect(join(await optionsOf(server.fetch))).rejects.toMatchObject({
      code: "usage",
      message: expect.stringContaining("not enrolled"),
    });
    let isMeasured = false;
    const measured = async () => {
      isMeasured = true;
      return profile;
    };
    const wrong = { ...(await optionsOf(server.fetch, { profile: measured })), joinToken: "wrong-token" };
    await expect(join(wrong)).rejects.toMatchObject({ protocolCode: "unauthenticated" });
    expect(isMeasured).toBe(false);
    expect(await wrong.state.readRecord()).toEqual({});
  });

  it("signs anew where the coordinator's clock was set meanwhile or the line delivered the request twice, and gives up where that goes on", async () => {
    const server = coordinator();
    const options = { ...(await optionsOf(server.fetch, { timing: { ...timing, attempts: 4 } })), joinToken: "join-token-1" };
    server.jump(2);
    server.repeat(1);
    expect((await join(options)).isNew).toBe(true);
    const nonces = server.seen.filter(({ path }) => path === "/v1/enrol").map(({ body }) => body.nonce);
    expect(new Set(nonces).size).toBe(4);
    server.jump(100);
    await expect(join(await optionsOf(server.fetch, { joinToken: "join-token-1" }))).rejects.toMatchObject({
      protocolCode: "unauthenticated",
    });
  });

  it("follows a coordinator to another address, and is enrolled anew at another coordinator with the same key", async () => {
    const [server, other] = [coordinator(), coordinator("server2")];
    const options = await optionsOf(server.fetch);
    const { enrolled } = await join({ ...options, joinToken: "join-token-1" });
    const moved = await join({ ...options, url: "https://elsewhere:1" });
    expect(moved).toMatchObject({ isNew: false, enrolled: { ...enrolled, url: "https://elsewhere:1" } });
    expect((await options.state.readRecord()).enrolled?.url).toBe("https://elsewhere:1");
    await expect(join({ ...options, url: "https://other:1", fetch: other.fetch })).rejects.toMatchObject({ code: "usage" });
    const key = server.seen.find(({ path }) => path === "/v1/enrol")?.body.publicKey;
    const anew = await join({ ...options, url: "https://other:1", fetch: other.fetch, joinToken: "join-token-1" });
    expect(anew).toMatchObject({ isNew: true, enrolled: { serverId: "server2" } });
    expect(other.seen.find(({ path }) => path === "/v1/enrol")?.body.publicKey).toBe(key);
  });

  it("trusts its enrolment while the coordinator is away, also with the token on the line again", async () => {
    const server = coordinator();
    const options = { ...(await optionsOf(server.fetch)), joinToken: "join-token-1" };
    await join(options);
    server.setAway(true);
    expect((await join(options)).isNew).toBe(false);
    server.setAway(false);
    server.paths();
    expect((await join(options)).isNew).toBe(false);
    expect(server.paths()).toEqual(["/healthz"]);
  });
});

describe("joinFleet", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(joinPath(tmpdir(), "sheaf-join-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it("joins, asks for work until it is stopped, and tells changed data on its return", async () => {
    const server = coordinator();
    const live = async (joinToken?: string): Promise<readonly string[]> => {
      const controller = new AbortController();
      server.onOffer = () => controller.abort();
      const events: string[] = [];
      await joinFleet({
        url,
        stateFolder: folder,
        data: toyDataset(12),
        fetch: server.fetch,
        timing,
        measure: async ({ transfer } = {}) => ({ ...profile, bandwidthBitsPerSecond: 8 * ((await transfer?.()) ?? 0) }),
        onEvent: ({ type }) => events.push(type),
        signal: controller.signal,
        ...(joinToken ? { joinToken } : {}),
      });
      return events;
    };
    expect(await live("join-token-1")).toEqual(["measured", "joined", "waiting"]);
    const enrolment = server.seen.find(({ path }) => path === "/v1/enrol")?.body;
    expect(enrolment?.profile).toMatchObject({ bandwidthBitsPerSecond: 8 * JSON.stringify({ openapi: "3.1.0" }).length });
    expect(server.seen.at(-1)?.body.data).toBeUndefined();
    // At another coordinator, which plans with the same figures, and with other limits.
    const other = coordinator("server2");
    const measured = async (limits: { readonly cpuShare?: number }): Promise<unknown> => {
      const controller = new AbortController();
      other.onOffer = () => controller.abort();
      const measure = async () => ({ ...profile, macsPerSecond: 7e8 });
      const setting = {
        url,
        stateFolder: folder,
        data: toyDataset(12),
        fetch: other.fetch,
        timing,
        joinToken: "join-token-1",
        limits,
        measure,
      };
      await joinFleet({ ...setting, onEvent: () => undefined, signal: controller.signal });
      return other.seen.findLast(({ path }) => path === "/v1/enrol")?.body.profile;
    };
    expect(await measured({})).toEqual(enrolment?.profile);
    await rm(joinPath(folder, agentFiles.record), { force: true });
    expect(await live("join-token-1")).toEqual(["measured", "joined", "waiting"]);
    expect(await measured({ cpuShare: 0.5 })).toMatchObject({ macsPerSecond: 7e8 });
    expect(await live("join-token-1")).toEqual(["measured", "joined", "waiting"]);
    expect(await live()).toEqual(["joined", "waiting"]);
    expect(server.seen.at(-1)?.body).toMatchObject({ data: { counts: [4, 4, 4] }, freeDiskBytes: expect.any(Number) });
  });
});

describe("whyUnwanted", () => {
  const run = { name: "night", classNames: ["cat", "dog"], sampleShape: { channels: 3, height: 32, width: 32 } };
  const data = { classNames: ["dog", "car"], counts: [5, 5], sampleShape: run.sampleShape, fingerprint: "f".repeat(64) };

  it("is silent where a run can use the samples, or there is none", () => {
    expect(whyUnwanted([run], data)).toBeUndefined();
    expect(whyUnwanted([], data)).toBeUndefined();
  });

  it("names both sides where no class or no shape is common", () => {
    expect(whyUnwanted([run], { ...data, counts: [0, 5] })).toMatch(/run "night" is of cat, dog \(3x32x32\), these are of car \(3x32x32\)/);
    expect(whyUnwanted([run], { ...data, sampleShape: { channels: 1, height: 32, width: 32 } })).toMatch(
      /these are of dog, car \(1x32x32\)/,
    );
  });
});
