/** Runs of a live fleet from configurations, the gate and the model, on a store in memory and with devices that really train. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { summarizeData } from "../agent/ownData.ts";
import { runTask, type TaskResult } from "../agent/tasks.ts";
import { initialParameters } from "../compile/initialize.ts";
import type { RunDefinition } from "../coordinator/events.ts";
import { openFileObjects } from "../coordinator/fileObjects.node.ts";
import { openMemoryObjects } from "../coordinator/memory.ts";
import { TestCoordinator } from "../coordinator/model.fixture.ts";
import { planRun } from "../coordinator/planning.ts";
import { inputsOf, taskSpec } from "../coordinator/spec.ts";
import type { Run, Task } from "../coordinator/state.ts";
import { openTaskObjects } from "../coordinator/taskObjects.ts";
import type { Dataset } from "../data/dataset.ts";
import { openSamples } from "../data/samples.node.ts";
import { readOnnx } from "../onnx/read.ts";
import { evaluationSchema } from "../protocol/evaluation.ts";
import type { ObjectReference } from "../protocol/messages.ts";
import type { TaskSpec } from "../protocol/tasks.ts";
import { parseConfig } from "../run/config.ts";
import { buildTarget, fitOf } from "../run/target.ts";
import { openSession } from "../runtime/session.node.ts";
import { decodeSafetensors, encodeSafetensors } from "../util/safetensors.ts";
import { floats, type Tensor } from "../util/tensor.ts";
import { assembleRun, assemblyOf, type MakeModel, makeModel } from "./assemble.ts";
import { threadMaker } from "./assembleThread.node.ts";
import { readObject } from "./branches.ts";
import { defineRun } from "./define.ts";
import { judge } from "./gate.ts";
import { type KnownSamples, openSamplesOf, type SamplesOf } from "./samples.ts";

const objects = openMemoryObjects();
const samplesOf = openSamplesOf(undefined);
const make: MakeModel = (assembly) => makeModel(assembly, objects, samplesOf);
const taskObjects = openTaskObjects({ put: (bytes) => objects.put(bytes) });
const small = {
  data: { name: "glyphs", trainCount: 120, testCount: 40 },
  target: { network: "tiny" },
  training: { epochs: 1, batchSize: 16 },
  fleet: { width: 0.5 },
  serve: { minimumDevices: 2 },
};
const define = (config: object): Promise<RunDefinition> =>
  defineRun({ name: "test", config: config as Readonly<Record<string, unknown>> }, samplesOf, (bytes) => objects.put(bytes));

describe("a run's definition", () => {
  it("is plain JSON with the data's classes and scale", async () => {
    const definition = await define(small);
    expect(JSON.parse(JSON.stringify(definition))).toEqual(definition);
    expect(definition.classNames).toHaveLength(10);
    expect(definition.target.input.std.every((value) => value > 1)).toBe(true);
    expect(definition.work.training).toMatchObject({ epochs: 1, batchSize: 16 });
    expect(definition.work.statistics).toEqual({ scores: false, expansion: 0 });
    expect(definition.policy).toMatchObject({ minimumDevices: 2, leaseSeconds: 60 });
    expect(definition.policy).not.toHaveProperty("samples");
    expect((await define({ ...small, head: "H0" })).work.statistics).toBeUndefined();
    const settled = await define({ ...small, settle: { passes: 2 }, heads: { heldOutShare: 0.2 } });
    expect(settled.work).toMatchObject({ settle: { passes: 2, order: "sequential" }, heldOutShare: 0.2, heldOutFrom: "training" });
  });

  it("publishes a pool where negatives come from one", async () => {
    const { work } = await define({ ...small, negatives: "pool", poolShare: 0.25 });
    const [pool] = work.inputs ?? [];
    expect(work.background.pool).toBe(pool?.sha256);
    expect(await objects.find(pool?.sha256 ?? "")).toMatchObject({ bytes: pool?.bytes });
  });

  it("needs no samples where it is told of them", async () => {
    const samples = { classNames: ["a", "b"], shape: { channels: 1, height: 16, width: 16 }, mean: [100], std: [50] };
    const definition = await define({ ...small, data: { name: "no-such-set" }, serve: { samples } });
    expect(definition.classNames).toEqual(["a", "b"]);
    expect(definition.target.input).toMatchObject({ channels: 1, height: 16, mean: [100], std: [50] });
    await expect(define({ ...small, serve: { samples: { ...samples, std: [1, 2] } } })).rejects.toMatchObject({ code: "config" });
    await expect(define({ ...small, negatives: "pool", serve: { samples } })).rejects.toThrow("publish");
  });

  it("knows the superclasses of the coordinator's own data", async () => {
    const glyphs = await samplesOf(parseConfig(small, "the test"));
    const train = glyphs.train as Dataset;
    const coarse = { classNames: ["even", "odd"], labels: Uint16Array.from(train.labels, (label) => label % 2) };
    const withGroups: SamplesOf = async () => ({ ...glyphs, train: { ...train, coarse } });
    const request = { name: "test", config: { ...small, fleet: { groupBy: "coarse" } } };
    const { planning } = await defineRun(request, withGroups, (bytes) => objects.put(bytes));
    expect(planning.classGroups).toEqual([0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
    const samples = { classNames: ["a", "b"], shape: { channels: 1, height: 16, width: 16 }, mean: [100], std: [50] };
    await expect(define({ ...request.config, serve: { ...small.serve, samples } })).rejects.toThrow("superclasses");
  });

  it("refuses to choose filters by activation without samples, and leaves the weights aside where devices start from scratch", async () => {
    const target = await buildTarget(
      parseConfig(small, "the test"),
      fitOf((await samplesOf(parseConfig(small, "the test"))).train as Dataset),
    );
    const { channels, height, width, mean, std } = target.input;
    const samples = { classNames: Array.from("abcdefghij"), shape: { channels, height, width }, mean, std };
    const folder = mkdtempSync(join(tmpdir(), "sheaf-warm-"));
    const weights = join(folder, "target.safetensors");
    writeFileSync(weights, encodeSafetensors(initialParameters(target, 1)));
    const config = {
      ...small,
      target: { network: "tiny", weights },
      serve: { ...small.serve, samples },
    };
    await expect(define(config)).rejects.toThrow('set it to "position"');
    expect((await define({ ...config, fleet: { warmStart: "none" } })).work.warmStart).toBeUndefined();
    expect((await define({ ...config, fleet: { warmStart: "position" } })).work.warmStart).toEqual({
      target: { role: "target", sha256: expect.any(String), bytes: expect.any(Number) },
    });
    rmSync(folder, { recursive: true });
  });

  it.each([
    [{ fleet: { groupBy: "coarse" } }, "superclasses"],
    [{ settle: { passes: 1, skip: { a: [2] } } }, "skip pass 2"],
    [{ settle: { passes: 1, rho: 0.9 }, rho: 0.5 }, "settle.rho"],
    [{ serve: { leaseSeconds: 15, heartbeatSeconds: 10 } }, "leaseSeconds"],
    [{ data: { name: "no-such-set" } }, "no-such-set"],
    [{ training: { epoch: 1 } }, "epoch"],
  ])("is refused for %j", async (change, word) => {
    await expect(define({ ...small, ...change })).rejects.toThrow(word);
  });
});

describe("a live run", () => {
  const fleet = new TestCoordinator(1_000_000, planRun);
  let known: KnownSamples;
  let runId: string;
  const devices: string[] = [];
  const runNow = (): Run => fleet.state.runs.get(runId) as Run;

  const work = (spec: TaskSpec, data: Dataset): Promise<TaskResult> =>
    runTask(spec, {
      data,
      openSamples,
      openSession,
      fetchObject: async (name) => {
        const bytes = (await objects.find(name))?.bytes ?? 0;
        return readObject(objects, { role: "branch", sha256: name, bytes });
      },
      checkpointSeconds: 1000,
      privateCounts: false,
      pace: async () => undefined,
      onProgress: () => undefined,
      onProblem: () => undefined,
      signal: new AbortController().signal,
    });
  const upload = async (outputs: TaskResult["outputs"]): Promise<ObjectReference[]> =>
    Promise.all(outputs.map(async ({ role, bytes }) => ({ role, ...(await objects.put(bytes)) })));
  const verdict = (task: Task, outputs: readonly ObjectReference[]) => judge(runNow(), task, outputs, objects, samplesOf);

  /** Every device does its task of the present phase; what the gate says is expected to be yes. */
  const round = async (kind: string): Promise<void> => {
    for (const deviceId of devices) {
      const assignment = fleet.ask(deviceId);
      if (!assignment) continue;
      const { task, run, lease } = assignment;
      expect(task.kind).toBe(kind);
      const prepared = await taskObjects.of(run, task);
      for (const input of inputsOf(run, prepared.objects)) expect(await objects.find(input.sha256)).toBeDefined();
      const { outputs, measured, use } = await work(taskSpec(run, task, prepared.objects), known.train as Dataset);
      const references = await upload(outputs);
      const judged = await verdict(task, references);
      expect(judged.accepted).toBe(true);
      fleet.do({ type: "complete", deviceId, leaseId: lease.leaseId, outputs: references, measured, use, verdict: judged });
    }
  };

  beforeAll(async () => {
    const definition = await define({ ...small, settle: { passes: 1, epochs: 1, order: "together" } });
    known = await samplesOf(definition.config as never);
    const data = await summarizeData(known.train as Dataset, false);
    const profile = { macsPerSecond: 1e9, memoryBytes: 1e9, bandwidthBitsPerSecond: 1e7 };
    for (const name of ["ann", "bob"])
      devices.push(fleet.do({ type: "enrol", publicKey: name, name, profile, data, software: "test" }).deviceId);
    runId = fleet.do({ type: "createRun", definition }).runId;
  });
  afterAll(() => objects.close());

  it("keeps poison out, and says why", async () => {
    const { task, run, lease } = fleet.ask(devices[0] as string) as NonNullable<ReturnType<typeof fleet.ask>>;
    const { outputs } = await work(taskSpec(run, task, {}), known.train as Dataset);
    const good = outputs[0]?.bytes as Uint8Array<ArrayBuffer>;
    const { tensors } = decodeSafetensors(good, "good");
    const [first, value] = [...tensors][0] as [string, Tensor];
    const changed = (by: (data: Float32Array) => Float32Array, shape = value.shape): Uint8Array<ArrayBuffer> =>
      encodeSafetensors(new Map([...tensors, [first, floats("float32", shape, by(value.data as Float32Array))]]));
    const refused = async (bytes: Uint8Array<ArrayBuffer>, reason: RegExp, role = "parameters"): Promise<void> => {
      const judged = await verdict(task, await upload([{ role, bytes }]));
      expect(judged).toEqual({ accepted: false, reason: expect.stringMatching(reason) });
    };
    await refused(
      changed((data) => data.map((v, i) => (i === 3 ? Number.NaN : v))),
      /not finite/,
    );
    await refused(
      changed((data) => data.map((v) => 1e6 * v + 1e4)),
      /limit/,
    );
    await refused(
      changed((data) => data, [1, ...value.shape]),
      /shape/,
    );
    await refused(encodeSafetensors(new Map([...tensors].slice(1))), /missing/);
    await refused(good.slice(0, 100), /./);
    await refused(good, /outputs should be parameters/, "statistics");
    expect(await verdict(task, [])).toMatchObject({ accepted: false });
    const [there] = await upload([{ role: "parameters", bytes: good }]);
    expect(await verdict(task, [{ ...(there as ObjectReference), bytes: 5 }])).toMatchObject({ accepted: false });
    // Collected while its device slept: no fault of the device, which uploads it again.
    await expect(verdict(task, [{ role: "parameters", sha256: "0".repeat(64), bytes: 5 }])).rejects.toMatchObject({
      protocolCode: "notFound",
    });
    expect(await verdict(task, [there as ObjectReference])).toMatchObject({ accepted: true, evaluation: { own: expect.any(Number) } });
    fleet.do({ type: "fail", deviceId: devices[0] as string, leaseId: lease.leaseId, code: "test", reason: "given back", retry: true });
    fleet.wait(600);
  });

  it("makes the same model of the same results, and of fewer one that lacks classes", async () => {
    await round("train");
    const partial = await assembleRun(runNow(), objects, make, [runNow().slotOrder.first() as string]);
    expect(partial.head).toBe("H0");
    await round("settle");
    await round("statistics");
    const whole = await assembleRun(runNow(), objects, make);
    expect(whole.head).toBe("H2");
    expect(await assembleRun(runNow(), objects, make)).toEqual(whole);
    const model = whole.outputs.find(({ role }) => role === "model") as ObjectReference;
    const { metadata } = readOnnx(await readObject(objects, model));
    expect(metadata).toMatchObject({ head: "H2", dataSet: "glyphs", seed: "0" });
    const evaluation = whole.outputs.find(({ role }) => role === "evaluation") as ObjectReference;
    const measured = evaluationSchema.parse(JSON.parse(new TextDecoder().decode(await readObject(objects, evaluation))));
    expect(measured).toMatchObject({ samples: 40, head: "H2", heads: [{ head: "H0" }, { head: "H1" }, { head: "H2" }] });
    for (const { accuracy, confusion, perClass } of measured.heads) {
      expect(confusion.flat().reduce((a, b) => a + b)).toBe(40);
      expect(confusion.reduce((sum, row, c) => sum + (row[c] ?? 0), 0) / 40).toBeCloseTo(accuracy, 12);
      expect(perClass.every((share, c) => (share === null) === (confusion[c]?.every((n) => n === 0) ?? false))).toBe(true);
    }
    expect(measured.accuracy).toBe(measured.heads[2]?.accuracy);
    // The last pass with the free head is the model under H0.
    expect(measured.settlePasses).toEqual([
      { pass: 0, H0: expect.any(Number), skipped: [] },
      { pass: 1, H0: measured.heads[0]?.accuracy, skipped: [] },
    ]);
  });

  // Node cannot load TypeScript in a worker thread.
  const script = new URL("../../dist/fleet/assembleWorker.node.js", import.meta.url);
  it.skipIf(!existsSync(script))("makes the same model in a thread of its own, and fails with the same sentence", async () => {
    const folder = mkdtempSync(join(tmpdir(), "sheaf-thread-"));
    const files = await openFileObjects(folder);
    const inThread = threadMaker({ store: folder, dataFolder: undefined, workerUrl: script }) as MakeModel;
    const assembly = assemblyOf(runNow());
    const reason = await makeModel(assembly, files, samplesOf).catch(({ message }: Error) => message);
    await expect(inThread(assembly)).rejects.toMatchObject({ code: "corrupt", message: reason });
    for await (const { sha256, bytes } of objects.list()) await files.put(await readObject(objects, { role: "any", sha256, bytes }));
    expect(await assembleRun(runNow(), files, inThread)).toEqual(await assembleRun(runNow(), objects, make));
    await files.close();
    rmSync(folder, { recursive: true });
  });

  it("keeps sums of other branches and of other classes out", async () => {
    const task = [...runNow().tasks.values()].find(({ kind, slot }) => kind === "statistics" && slot === runNow().slotOrder.get(0)) as Task;
    const other = [...runNow().tasks.values()].find(
      ({ kind, slot }) => kind === "statistics" && slot === runNow().slotOrder.get(1),
    ) as Task;
    expect(await verdict(task, other.result?.outputs ?? [])).toEqual({ accepted: false, reason: expect.stringMatching(/does not own/) });
    expect(await verdict(task, task.result?.outputs ?? [])).toEqual({ accepted: true });
  });
});
