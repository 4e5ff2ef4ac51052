import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runDetailSchema } from "../protocol/operatorMessages.ts";
import { SheafError } from "../util/errors.ts";
import { sha256 } from "./bytes.ts";
import type { LogEntry } from "./chain.ts";
import type { Verdict } from "./commands.ts";
import { type Live, openLive } from "./live.ts";
import { type Assembled, type LiveService, openLiveService } from "./liveService.ts";
import { openMemoryLog, openMemoryObjects } from "./memory.ts";
import { dataOf, dealByTurn, definitionOf } from "./model.fixture.ts";
import type { Caller, CommandOf, CommandRoute } from "./service.ts";
import type { EventLog, ObjectStore } from "./store.ts";

let log: EventLog<LogEntry>;
let live: Live;
let objects: ObjectStore;
let service: LiveService;
let gate: () => Promise<Verdict>;
let assemble: () => Promise<Assembled>;
const model = { role: "model", sha256: "a".repeat(64), bytes: 9 };
const admin: Caller = { role: "admin", subject: "admin", tokenId: "t", expiresAtMs: 1e15 };
const deviceCaller = (deviceId: string): Caller => ({ role: "device", subject: deviceId, tokenId: "t", expiresAtMs: 1e15 });

async function open(): Promise<void> {
  let ids = log ? (await log.lastSequence()) * 10 : 0;
  live = await openLive({ log, sha256, planner: dealByTurn, newId: () => `id${++ids}`, now: Date.now });
  service = openLiveService({
    live,
    log,
    now: Date.now,
    define: async ({ name }) => {
      if (name === "bad") throw new SheafError("config", "No such network.");
      return { ...definitionOf({ statistics: undefined }, { minimumDevices: 1 }), name };
    },
    gate: () => gate(),
    assemble: () => assemble(),
    put: (bytes) => objects.put(bytes),
  });
}
beforeEach(async () => {
  log = openMemoryLog();
  objects = openMemoryObjects();
  gate = async () => ({ accepted: true });
  assemble = async () => ({ outputs: [model], head: "H0" });
  await open();
});
afterEach(async () => {
  await service.close();
  await live.close();
});

function ask<N extends CommandRoute>(
  route: N,
  caller: Caller,
  body: unknown = "none",
  parameter = "",
  signal = new AbortController().signal,
  query?: unknown,
) {
  return service.apply({ route, caller, parameter, query, body, signal } as unknown as CommandOf<N>);
}
const enrol = async (name: string): Promise<Caller> => {
  const profile = { macsPerSecond: 1e9, memoryBytes: 1e9, bandwidthBitsPerSecond: 1e6 };
  const { deviceId } = await service.enrol({ publicKey: name, name, profile, data: dataOf([9, 9, 9, 9], name), software: "test" });
  return deviceCaller(deviceId);
};
const wanted = { waitMs: 0, capabilities: { kinds: ["train"] } };
const completion = (name = "b") => ({
  outputs: [{ role: "parameters", sha256: name.repeat(64), bytes: 1 }],
  measured: { seconds: 1, macs: 1, samples: 1 },
});
const untilPhase = async (runId: string, status: string): Promise<void> => {
  for (let i = 0; i < 100 && (await ask("getRun", admin, "none", runId)).status !== status; i++) await new Promise((r) => setTimeout(r, 5));
  expect((await ask("getRun", admin, "none", runId)).status).toBe(status);
};

describe("the live service", () => {
  it("tells watchers how far tasks are, beside what is in the log", async () => {
    const { runId } = await ask("createRun", admin, { name: "night", config: {} });
    const ann = await enrol("ann");
    const { offer } = await ask("offer", ann, wanted);
    const beat = (step: number) => ask("heartbeat", ann, { phase: "training", progress: 0.1 * step, step, loss: 1 / step }, offer?.leaseId);
    await beat(1);
    const stop = new AbortController();
    const steps: unknown[] = [];
    for await (const { type, sequence, data } of (await service.watch(runId, 0, stop.signal)) ?? []) {
      if (type !== "task.progress") continue;
      expect(sequence).toBe(0);
      expect(data).toMatchObject({ runId, slot: "d1", kind: "train", deviceId: expect.any(String) });
      steps.push((data.points as { step: number }[]).map(({ step }) => step));
      if (steps.length === 1) await beat(2);
      else break;
    }
    stop.abort();
    expect(steps).toEqual([[1], [2]]);
  });

  it("takes a run from its request to its model", async () => {
    const { runId, status } = await ask("createRun", admin, { name: "night", config: {} });
    expect(status).toBe("waiting");
    const ann = await enrol("ann");
    const { offer } = await ask("offer", ann, wanted);
    expect(offer).toMatchObject({ kind: "train", runId, spec: { kind: "train", device: "d1" } });
    expect(await ask("heartbeat", ann, { phase: "training", progress: 0.5 }, offer?.leaseId)).toMatchObject({ cancel: false });
    expect((await ask("getRun", admin, "none", runId)).taskList).toMatchObject([
      { status: "leased", progress: 0.5, workers: [ann.subject] },
    ]);
    expect(await service.mayUpload(ann.subject, { sha256: "b".repeat(64), bytes: 1000 })).toBe(true);
    expect(await service.mayUpload(ann.subject, { sha256: "b".repeat(64), bytes: 1e12 })).toBe(false);
    expect(await ask("complete", ann, completion(), offer?.leaseId)).toEqual({ accepted: true });
    await untilPhase(runId, "finished");
    expect(await service.model(runId)).toEqual(model);
    expect(await service.mayUpload(ann.subject, { sha256: "b".repeat(64), bytes: 1 })).toBe(false);
  });

  it("lets a device wait until there is work", async () => {
    const ann = await enrol("ann");
    const waiting = ask("offer", ann, { ...wanted, waitMs: 5000 });
    await ask("createRun", admin, { name: "night", config: {} });
    expect((await waiting).offer?.spec.taskId).toBe("train-d1");
    const bob = await enrol("bob");
    expect(await ask("offer", bob, { ...wanted, waitMs: 30 })).toMatchObject({ offer: null });
    const gone = new AbortController();
    const aborted = ask("offer", bob, { ...wanted, waitMs: 30_000 }, "", gone.signal);
    gone.abort();
    expect(await aborted).toMatchObject({ offer: null });
  });

  it("judges a result once, however often it is sent meanwhile, and tells why it was refused", async () => {
    let judged = 0;
    gate = async () => {
      judged++;
      await new Promise((r) => setTimeout(r, 20));
      return { accepted: false, reason: "Not finite." };
    };
    await ask("createRun", admin, { name: "night", config: {} });
    const ann = await enrol("ann");
    const { offer } = await ask("offer", ann, wanted);
    const answers = await Promise.all([1, 2, 3].map(() => ask("complete", ann, completion(), offer?.leaseId)));
    expect(answers).toEqual(Array(3).fill({ accepted: false, reason: "Not finite." }));
    expect(await ask("complete", ann, completion(), offer?.leaseId)).toEqual({ accepted: false, reason: "Not finite." });
    expect(judged).toBe(1);
  });

  it("makes the model that a crash interrupted", async () => {
    const { runId } = await ask("createRun", admin, { name: "night", config: {} });
    const ann = await enrol("ann");
    const { offer } = await ask("offer", ann, wanted);
    assemble = () => new Promise(() => undefined);
    await ask("complete", ann, completion(), offer?.leaseId);
    await untilPhase(runId, "assembling");
    assemble = async () => ({ outputs: [model], head: "H0" });
    await open();
    await untilPhase(runId, "finished");
  });

  it("answers a harvest with a model of what is there, and fails and resumes an assembly", async () => {
    const { runId } = await ask("createRun", admin, { name: "night", config: {} });
    await expect(ask("harvestRun", admin, "none", runId)).rejects.toMatchObject({ protocolCode: "conflict" });
    const ann = await enrol("ann");
    const { offer } = await ask("offer", ann, wanted);
    let stopped = false;
    assemble = () =>
      new Promise((_, reject) => {
        stopped = true;
        setTimeout(() => reject(new SheafError("storage", "No room.")), 10);
      });
    await ask("complete", ann, completion(), offer?.leaseId);
    await untilPhase(runId, "failed");
    expect(stopped).toBe(true);
    assemble = async () => ({ outputs: [model], head: "H0" });
    await ask("resumeRun", admin, "none", runId);
    await untilPhase(runId, "finished");
    expect(await ask("harvestRun", admin, "none", runId)).toMatchObject({
      model,
      head: "H0",
      devices: ["d1"],
      missingClasses: [],
    });
  });

  it("lists and shows an archived run, and gives its model", async () => {
    const { runId } = await ask("createRun", admin, { name: "night", config: {} });
    const ann = await enrol("ann");
    const { offer } = await ask("offer", ann, wanted);
    await ask("complete", ann, completion(), offer?.leaseId);
    await untilPhase(runId, "finished");
    const before = await ask("getRun", admin, "none", runId);
    expect(await ask("archiveRun", admin, "none", runId)).toMatchObject({ runId, archived: true });
    expect(await ask("listRuns", admin)).toEqual({ runs: [] });
    const { owners: _, taskList: __, config, classNames, quarantined: ___, ...summary } = { ...before, archived: true };
    expect(await ask("listRuns", admin, "none", "", undefined, { archived: "true" })).toEqual({ runs: [summary] });
    expect(await ask("getRun", admin, "none", runId)).toEqual({
      ...summary,
      classNames,
      config,
      owners: classNames.map(() => []),
      taskList: [],
      quarantined: [],
    });
    expect(runDetailSchema.safeParse(await ask("getRun", admin, "none", runId)).success).toBe(true);
    expect(await service.model(runId)).toEqual(model);
    expect(await service.watch(runId, live.head.sequence, new AbortController().signal)).toBeUndefined();
    await expect(ask("resumeRun", admin, "none", runId)).rejects.toMatchObject({ protocolCode: "conflict" });
    await expect(ask("harvestRun", admin, "none", runId)).rejects.toMatchObject({ protocolCode: "conflict" });
  });

  it("tells how far tasks were of a run that is over, until it is archived", async () => {
    const { runId } = await ask("createRun", admin, { name: "night", config: {} });
    const ann = await enrol("ann");
    const { offer } = await ask("offer", ann, wanted);
    await ask("heartbeat", ann, { phase: "training", progress: 0.5, step: 1, loss: 1 }, offer?.leaseId);
    await ask("complete", ann, completion(), offer?.leaseId);
    await untilPhase(runId, "finished");
    const told = async (): Promise<readonly string[]> => {
      const types: string[] = [];
      for await (const { type } of (await service.watch(runId, 0, new AbortController().signal)) ?? []) types.push(type);
      return types;
    };
    expect(await told()).toContain("task.progress");
    await ask("archiveRun", admin, "none", runId);
    const archived = await told();
    expect(archived).toContain("run.archived");
    expect(archived).not.toContain("task.progress");
  });

  it("tells watchers what was and what comes, up to the run's end", async () => {
    const { runId } = await ask("createRun", admin, { name: "night", config: {} });
    const seen: string[] = [];
    const watching = (async () => {
      for await (const { type } of (await service.watch(runId, 0, new AbortController().signal)) ?? []) seen.push(type);
    })();
    const ann = await enrol("ann");
    const { offer } = await ask("offer", ann, wanted);
    await ask("complete", ann, completion(), offer?.leaseId);
    await watching;
    expect(seen).toEqual(["run.created", "plan.made", "phase.started", "offer.leased", "lease.completed", "phase.started", "run.finished"]);
    expect(await service.watch(runId, live.head.sequence, new AbortController().signal)).toBeUndefined();
    await expect(service.watch("none", 0, new AbortController().signal)).rejects.toMatchObject({ protocolCode: "notFound" });
  });

  it("says what is wrong with a request", async () => {
    await expect(ask("createRun", admin, { name: "bad", config: {} })).rejects.toMatchObject({
      protocolCode: "unacceptable",
      message: "No such network.",
    });
    await expect(ask("getRun", admin, "none", "none")).rejects.toMatchObject({ protocolCode: "notFound" });
    await expect(ask("offer", admin, wanted)).rejects.toMatchObject({ protocolCode: "forbidden" });
    const ann = await enrol("ann");
    expect(await ask("revokeDevice", admin, "none", ann.subject)).toMatchObject({ status: "revoked" });
    expect(await ask("listDevices", admin)).toMatchObject({ devices: [{ deviceId: ann.subject, status: "revoked" }] });
    await expect(ask("offer", ann, wanted)).rejects.toMatchObject({ protocolCode: "revoked" });
    expect(await service.device(ann.subject)).toEqual({ publicKey: "ann", revoked: true });
    await service.note({ type: "joinToken.created", by: "admin", role: "device", uses: 1, expiresAt: 5 });
    const entries: unknown[] = [];
    for await (const entry of service.audit(0)) entries.push(entry);
    expect(entries.at(-1)).toMatchObject({ event: { type: "joinToken.created" } });
  });

  it("says of objects that they are being judged as long as nothing else speaks of them", async () => {
    await ask("createRun", admin, { name: "night", config: {} });
    const ann = await enrol("ann");
    const { offer } = await ask("offer", ann, wanted);
    let decide: (verdict: Verdict) => void = () => undefined;
    gate = () => new Promise((resolve) => (decide = resolve));
    const name = "b".repeat(64);
    const answer = ask("complete", ann, completion("b"), offer?.leaseId);
    expect([service.isJudged(name), service.isJudged("c".repeat(64))]).toEqual([true, false]);
    decide({ accepted: true });
    expect(await answer).toMatchObject({ accepted: true });
    expect(service.isJudged(name)).toBe(false);
  });
});
