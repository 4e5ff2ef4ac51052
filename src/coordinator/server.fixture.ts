/** A server over a fake coordinator: two devices, a lease of the first, a run that has begun. Time stands still unless a test moves it. */

import { ProtocolError } from "../protocol/errors.ts";
import type { DataSummary, MeasuredProfile } from "../protocol/messages.ts";
import type { DeviceSummary, RunSummary, WatchEvent } from "../protocol/operatorMessages.ts";
import type { RouteName } from "../protocol/routes.ts";
import { createKey, type DeviceKey } from "../protocol/signing.ts";
import { type AccessTokens, openAccessTokens } from "./accessTokens.ts";
import { sha256 } from "./bytes.ts";
import type { ServerLimits } from "./limits.ts";
import { openLog } from "./log.ts";
import { openMemoryObjects, openMemorySecrets } from "./memory.ts";
import { openServer, type Server } from "./server.ts";
import type { AuditNote, CommandOf, CommandRoute, Coordinator } from "./service.ts";
import type { ObjectStore, SecretStore } from "./store.ts";

export const startMs = 1_800_000_000_000;
export const url = "http://coordinator.test";
export const serverId = "server-1";

interface FakeDevice {
  readonly key: DeviceKey;
  revoked: boolean;
}

export interface Fake {
  readonly server: Server;
  readonly objects: ObjectStore;
  readonly secrets: SecretStore;
  readonly tokens: AccessTokens;
  readonly devices: Map<string, FakeDevice>;
  readonly commands: CommandOf<CommandRoute>[];
  readonly notes: AuditNote[];
  readonly lines: string[];
  readonly clock: { nowMs: number };
  /** What `apply` throws instead of answering. */
  fault: Error | undefined;
  /** The device that may upload. */
  mayUpload: string;
  /** SHA-256 of an object that every device may read. */
  readable: string | undefined;
  /** SHA-256 of the object that lease-a names. */
  readonly input: string;
  bearer(subject: string, role: "device" | "viewer" | "admin", lifetimeMs?: number): Promise<string>;
  /** A request; a plain object as body is sent as JSON. */
  call(
    method: string,
    path: string,
    options?: { token?: string | undefined; body?: unknown; headers?: Record<string, string> },
  ): Promise<Response>;
}

export const data: DataSummary = {
  classNames: ["cat", "dog"],
  counts: [5, 7],
  sampleShape: { channels: 3, height: 8, width: 8 },
  fingerprint: "f".repeat(64),
};
export const profile: MeasuredProfile = { macsPerSecond: 1e9, memoryBytes: 1e9, bandwidthBitsPerSecond: 1e7 };

/** A body that each route takes, where it takes one. */
export const bodies: Partial<Record<RouteName, unknown>> = {
  takeShard: { runId: null },
  offer: { waitMs: 0, capabilities: { kinds: ["train"] } },
  heartbeat: { phase: "training", progress: 0.5 },
  complete: { outputs: [{ role: "parameters", sha256: "a".repeat(64), bytes: 1 }], measured: { seconds: 1, macs: 1, samples: 1 } },
  fail: { code: "diverged", reason: "loss is not finite", retry: true },
  startUpload: { sha256: "b".repeat(64), bytes: 10 },
  createRun: { name: "night", config: {} },
  excuseDevice: { deviceId: "device-b" },
  createJoinToken: { uses: 3, expiresInSeconds: 3600, role: "device" },
};

const run: RunSummary = {
  runId: "run-1",
  name: "night",
  status: "training",
  archived: false,
  createdAt: startMs,
  tasks: { total: 2, leased: 1, done: 0, failed: 0 },
  classes: { total: 2, covered: 2 },
  devices: 2,
};

const summaryOf = (deviceId: string, { revoked }: FakeDevice): DeviceSummary => ({
  deviceId,
  name: deviceId,
  status: revoked ? "revoked" : "idle",
  enrolledAt: startMs,
  seenAt: startMs,
  software: "sheaf",
  profile,
  classes: ["cat"],
  leases: [],
});

const missing = (what: string): ProtocolError => new ProtocolError("notFound", `There is no ${what}.`);

function answerOf({ route, caller, parameter, signal }: CommandOf<CommandRoute>, fake: Fake): unknown {
  const checkRun = (): void => {
    if (parameter !== "run-1") throw missing(`run ${parameter}`);
  };
  const checkLease = (): void => {
    if (!["lease-a", "lease-lost"].includes(parameter)) throw missing(`lease ${parameter}`);
    if (caller.subject !== "device-a") throw new ProtocolError("forbidden", "The lease is another device's.");
    if (parameter === "lease-lost") throw new ProtocolError("leaseLost", "The lease has lapsed.");
  };
  switch (route) {
    case "offer":
      return new Promise((resolve) => {
        const answer = { offer: null, retryAfterMs: 0, now: fake.clock.nowMs };
        if (caller.subject !== "device-waiting" || signal.aborted) resolve(answer);
        signal.addEventListener("abort", () => resolve(answer));
      });
    case "takeShard":
      return {
        runId: "run-1",
        object: { role: "shard", sha256: fake.input, bytes: 10 },
        classNames: ["cat", "dog"],
        sampleShape: { channels: 3, height: 8, width: 8 },
      };
    case "heartbeat":
      checkLease();
      return { expiresAt: startMs + 60_000, cancel: false, now: fake.clock.nowMs };
    case "complete":
      checkLease();
      return { accepted: true };
    case "fail":
      checkLease();
      return {};
    case "listRuns":
      return { runs: [run] };
    case "createRun":
      return run;
    case "getRun":
      checkRun();
      return { ...run, classNames: ["cat", "dog"], owners: [["device-a"], []], taskList: [], quarantined: [], config: {} };
    case "pauseRun":
    case "resumeRun":
    case "cancelRun":
    case "archiveRun":
    case "excuseDevice":
      checkRun();
      return run;
    case "harvestRun":
      checkRun();
      return { model: { role: "model", sha256: fake.input, bytes: 1 }, head: "H2", devices: ["device-a"], missingClasses: [] };
    case "listDevices":
      return { devices: [...fake.devices].map(([id, device]) => summaryOf(id, device)) };
    case "revokeDevice": {
      const device = fake.devices.get(parameter);
      if (!device) throw missing(`device ${parameter}`);
      device.revoked = true;
      return summaryOf(parameter, device);
    }
  }
}

async function* events(after: number, signal: AbortSignal): AsyncGenerator<WatchEvent> {
  for (let sequence = after + 1; sequence <= 3; sequence++) yield { sequence, at: startMs, type: "offer.leased", data: { line: "a\nb" } };
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
}

/** A coordinator with devices and one run, which records what reaches it. */
export function fakeCoordinator(fake: () => Fake): Coordinator {
  return {
    async apply(command) {
      const { fault, commands } = fake();
      commands.push(command as unknown as CommandOf<CommandRoute>);
      if (fault) throw fault;
      return (await answerOf(command as unknown as CommandOf<CommandRoute>, fake())) as never;
    },
    async enrol({ publicKey, name }) {
      const known = [...fake().devices].find(([, { key }]) => key.publicKey === publicKey);
      if (known?.[1].revoked) throw new ProtocolError("revoked", "The device was revoked.");
      if (known) return { deviceId: known[0] };
      const key: DeviceKey = { publicKey, sign: () => Promise.reject(new Error("not here")) };
      fake().devices.set(name, { key, revoked: false });
      return { deviceId: name };
    },
    invited: async () => [],
    async device(deviceId) {
      const device = fake().devices.get(deviceId);
      return device && { publicKey: device.key.publicKey, revoked: device.revoked };
    },
    mayRead: async (deviceId, name) => (deviceId === "device-a" && name === fake().input) || name === fake().readable,
    mayUpload: async (deviceId) => deviceId === fake().mayUpload,
    async watch(runId, after, signal) {
      if (runId !== "run-1") throw missing(`run ${runId}`);
      return after >= 100 ? undefined : events(after, signal);
    },
    async model(runId) {
      if (runId !== "run-1") throw missing(`run ${runId}`);
      return { role: "model", sha256: fake().input, bytes: 1 };
    },
    async *audit(after) {
      for (let sequence = after + 1; sequence <= 3; sequence++) yield { sequence, hash: "0" };
    },
    async note(note) {
      fake().notes.push(note);
    },
  };
}

export interface FakeOptions {
  readonly limits?: Partial<ServerLimits>;
  readonly bodyIdleMs?: number;
}

/** Devices `device-a` (holds `lease-a`) and `device-b`; `device-waiting` waits for an offer until it is told to stop. */
export async function openFake(options: FakeOptions = {}): Promise<Fake> {
  const clock = { nowMs: startMs };
  const nowMs = (): number => clock.nowMs;
  const tokens = await openAccessTokens(new Uint8Array(32).fill(7), nowMs);
  const objects = openMemoryObjects();
  const secrets = openMemorySecrets();
  const lines: string[] = [];
  const { sha256: input } = await objects.put(new TextEncoder().encode("0123456789"));
  const devices = new Map<string, FakeDevice>();
  for (const id of ["device-a", "device-b", "device-waiting"]) devices.set(id, { key: (await createKey()).key, revoked: false });
  const server = openServer({
    coordinator: fakeCoordinator(() => fake),
    objects,
    secrets,
    tokens,
    serverId,
    publicUrl: url,
    log: openLog((line) => void lines.push(line), nowMs, "debug"),
    addressOf: (env) => (typeof env === "string" ? env : "192.0.2.1"),
    nowMs,
    checkAnswers: true,
    ...options,
  });
  const fake: Fake = {
    server,
    objects,
    secrets,
    tokens,
    devices,
    commands: [],
    notes: [],
    lines,
    clock,
    fault: undefined,
    mayUpload: "device-a",
    readable: undefined,
    input,
    bearer: async (subject, role, lifetimeMs = 60_000) => (await tokens.issue(subject, role, lifetimeMs)).token,
    async call(method, path, { token, body, headers = {} } = {}) {
      const isJson = body !== undefined && !(body instanceof Uint8Array) && !(body instanceof ReadableStream) && typeof body !== "string";
      const init: RequestInit & { duplex?: "half" } = {
        method,
        headers: {
          ...(isJson ? { "content-type": "application/json" } : {}),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...headers,
        },
      };
      if (body !== undefined) init.body = isJson ? JSON.stringify(body) : (body as string);
      if (body instanceof ReadableStream) init.duplex = "half";
      return server.fetch(new Request(`${url}${path}`, init));
    },
  };
  return fake;
}

/** A join token for devices that the fake's server takes. */
export async function addJoinToken(fake: Fake, uses = 2): Promise<string> {
  const text = `sheafjoin-${"t".repeat(40)}`;
  const times = { createdAtMs: fake.clock.nowMs, expiresAtMs: fake.clock.nowMs + 1000 };
  await fake.secrets.addJoinToken({ tokenHash: await sha256(text), role: "device", uses, ...times });
  return text;
}

/** Code of the error that a response carries. */
export async function codeOf(response: Response): Promise<string> {
  return ((await response.json()) as { error: { code: string } }).error.code;
}

/** One caller of each role, with a token that holds for a minute. */
export interface Callers {
  /** `device-a`. */
  readonly device: string;
  readonly admin: string;
  readonly viewer: string;
}

export const callersOf = async ({ bearer }: Fake): Promise<Callers> => ({
  device: await bearer("device-a", "device"),
  admin: await bearer("admin-1", "admin"),
  viewer: await bearer("viewer-1", "viewer"),
});

export const textOf = (response: Response): Promise<string> => response.text();
