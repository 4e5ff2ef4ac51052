/** Whole runs over real HTTP in one process: the coordinator as `sheaf serve` starts it, devices as `sheaf join` does, and training that is real and small. */
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "libsql";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type JoinEvent, joinFleet } from "../agent/joinNode.node.ts";
import { initialParameters } from "../compile/initialize.ts";
import { sha256 } from "../coordinator/bytes.ts";
import { branchesOf, referencedObjects } from "../coordinator/spec.ts";
import type { Run } from "../coordinator/state.ts";
import type { Dataset } from "../data/dataset.ts";
import { readOnnx } from "../onnx/read.ts";
import { decodeBranches } from "../protocol/branchList.ts";
import type { Fetch } from "../protocol/exchange.ts";
import { parseConfig } from "../run/config.ts";
import { buildTarget, fitOf } from "../run/target.ts";
import { decodeSafetensors, encodeSafetensors } from "../util/safetensors.ts";
import type { Tensor } from "../util/tensor.ts";
import { type RunningCoordinator, startCoordinator } from "./coordinator.ts";
import { openSamplesOf } from "./samples.ts";

const root = mkdtempSync(join(tmpdir(), "sheaf-http-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Where the package was built. */
const worker = new URL("../../dist/fleet/assembleWorker.node.js", import.meta.url);
const names = ["ann", "bob", "cat"];
const base = {
  data: { name: "glyphs", trainCount: 120, testCount: 40 },
  target: { network: "tiny" },
  training: { epochs: 1, batchSize: 16 },
  fleet: { width: 0.5 },
  serve: { minimumDevices: names.length },
};
let data: Dataset;
beforeAll(async () => {
  data = (await openSamplesOf(undefined)(parseConfig(base, "the test"))).train as Dataset;
});

interface Finished {
  readonly run: Run;
  readonly model: Uint8Array<ArrayBuffer>;
  readonly events: readonly JoinEvent[];
  /** Objects that devices fetched, by what answered. */
  readonly fetched: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
}

let stores = 0;

/** Runs a configuration to its end with three devices. */
async function finish(config: object, use?: (coordinator: RunningCoordinator, run: Run) => Promise<void>): Promise<Finished> {
  const folder = join(root, `store-${++stores}`);
  await using coordinator = await startCoordinator({ store: folder, host: "127.0.0.1", port: 0, log: () => undefined });
  const { runId } = await coordinator.ensureRun("test", config as Readonly<Record<string, unknown>>);
  const [url, joinToken] = (await coordinator.joinLine(names.length, 1)).line.replace("sheaf join ", "").split("#") as [string, string];
  const end = new AbortController();
  const events: JoinEvent[] = [];
  const fetched = new Map<string, Uint8Array<ArrayBuffer>>();
  const watching: Fetch = async (address, init) => {
    const response = await fetch(address, init as RequestInit);
    if (/\/v1\/objects\//.test(address) && response.ok) {
      const copy = response.clone();
      void copy.arrayBuffer().then(
        (bytes) => fetched.set(address.split("/").at(-1) as string, new Uint8Array(bytes)),
        () => undefined,
      );
    }
    return response;
  };
  const devices = names.map((name) =>
    joinFleet({
      url,
      joinToken,
      stateFolder: join(folder, "devices", name),
      data,
      name,
      fetch: watching,
      profile: async () => ({ macsPerSecond: 1e9, memoryBytes: 4e9, bandwidthBitsPerSecond: 1e8 }),
      onEvent: (event) => void events.push(event),
      signal: end.signal,
    }),
  );
  try {
    const run = await Promise.race([
      coordinator.untilOver(runId, end.signal),
      ...devices.map((device) => device.then(() => coordinator.live.state.runs.get(runId) as Run)),
    ]);
    const problems = events.flatMap((event) => (event.type === "problem" || event.type === "gaveBack" ? [JSON.stringify(event)] : []));
    expect([run.phase, run.reason, problems]).toEqual(["finished", undefined, []]);
    const output = run.outputs?.find(({ role }) => role === "model");
    const model = await coordinator.readObject(output as NonNullable<typeof output>);
    await use?.(coordinator, run);
    return { run, model, events, fetched };
  } finally {
    end.abort();
    await Promise.allSettled(devices);
  }
}

const settledIn = (run: Run, pass: number): string[] =>
  [...run.tasks.values()].filter((task) => task.kind === "settle" && task.pass === pass).map(({ slot }) => slot);

describe("a run over HTTP", () => {
  it("settles, sits out where it is told to, draws on a public pool, holds samples out, and is the same again", async () => {
    const config = {
      ...base,
      negatives: "pool",
      poolShare: 0.25,
      settle: { passes: 2, epochs: 1, skip: { bob: [1], cat: [1, 2] } },
      heads: { heldOutShare: 0.2 },
    };
    const first = await finish(config, async (coordinator, run) => {
      // Nothing is refused, nothing is lost, and what is left over is collected.
      expect(run.quarantined).toEqual([]);
      expect([...run.tasks.values()].every(({ status }) => status === "done")).toBe(true);
      for (const object of referencedObjects(coordinator.live.state)) expect(object).toMatch(/^[0-9a-f]{64}$/);
    });
    const { run, model, fetched } = first;
    expect([settledIn(run, 1), settledIn(run, 2).sort()]).toEqual([["ann"], ["ann", "bob"]]);
    expect(branchesOf(run).map(({ parameters }) => parameters)).toEqual(
      ["settle2-ann", "settle2-bob", "train-cat"].map((taskId) => run.tasks.get(taskId)?.result?.outputs[0]?.sha256),
    );
    for (const slot of run.slotOrder) {
      const { outputs } = run.tasks.get(`statistics-${slot}`)?.result ?? { outputs: [] };
      expect(outputs.map(({ role }) => role)).toEqual(["statistics", "heldOut"]);
      expect(run.tasks.get(`train-${slot}`)?.result?.use?.backgroundSamples).toBeGreaterThan(0);
    }
    const pool = run.definition.work.inputs?.[0]?.sha256 as string;
    expect(fetched.has(pool)).toBe(true);
    const { metadata } = readOnnx(model);
    expect(metadata.head).toBe("H2");
    const again = await finish(config);
    expect(await sha256(again.model)).toBe(await sha256(model));
    expect(again.run.outputs).toEqual(run.outputs);
    // Killed while it put the model together: what it had written then is all that is there, and a coordinator on it ends in the same bytes.
    const cut = join(root, "cut");
    cpSync(join(root, `store-${stores}`), cut, { recursive: true });
    const database = new Database(join(cut, "log.sqlite"));
    database.exec("DELETE FROM entries WHERE sequence = (SELECT max(sequence) FROM entries)");
    database.close();
    for (const { sha256: name } of run.outputs ?? []) rmSync(join(cut, "objects", name.slice(0, 2), name));
    await using resumed = await startCoordinator({
      store: cut,
      host: "127.0.0.1",
      port: 0,
      log: () => undefined,
      ...(existsSync(worker) ? { assemblyWorker: worker } : {}),
    });
    const [left] = [...resumed.live.state.runs.values()] as [Run];
    expect(left.phase).toBe("assemble");
    expect(await resumed.untilOver(left.runId, new AbortController().signal)).toMatchObject({ phase: "finished", outputs: run.outputs });
  }, 240_000);

  it.each(["position", "activation"] as const)(
    "starts devices from a trained target, filters chosen by %s",
    async (warmStart) => {
      const config = parseConfig(base, "the test");
      const target = await buildTarget(config, fitOf(data));
      const weights = new Map(initialParameters(target, 99));
      const path = join(root, `target-${warmStart}.safetensors`);
      writeFileSync(path, encodeSafetensors(weights));
      // A rate at which nothing moves: what comes back is what was given.
      const still = {
        ...base.training,
        schedule: { type: "constant", learningRate: 1e-12 },
        optimizer: { type: "sgd", momentum: 0, weightDecay: 0 },
      };
      const warm = { ...base, target: { network: "tiny", weights: path }, training: still, fleet: { width: 0.5, warmStart }, head: "H0" };
      const { run, fetched } = await finish(warm);
      const { warmStart: kept } = run.definition.work;
      expect(kept?.activation === undefined).toBe(warmStart === "position");
      // No device sees the whole target.
      expect(fetched.has(kept?.target.sha256 as string)).toBe(false);
      const filters = weights.get("conv1.weight") as Tensor;
      const filterBytes = filters.data.length / (filters.shape[0] as number);
      const given = [...fetched.values()].map((bytes) => decodeSafetensors(bytes, "fetched").tensors);
      expect(given).toHaveLength(3);
      for (const tensors of given) {
        const own = tensors.get("conv1.weight") as Tensor;
        const rows = own.shape[0] as number;
        for (let row = 0; row < rows; row++) {
          const values = own.data.slice(row * filterBytes, (row + 1) * filterBytes);
          const from = Array.from({ length: filters.shape[0] as number }, (_, f) =>
            filters.data.slice(f * filterBytes, (f + 1) * filterBytes),
          );
          const place = from.findIndex((candidate) => candidate.every((value, i) => value === values[i]));
          expect(place).toBeGreaterThanOrEqual(0);
          if (warmStart === "position") expect(place).toBe(row);
        }
      }
    },
    120_000,
  );

  it("lists branches in an object that devices fetch by its hash", async () => {
    const { run, fetched } = await finish(base);
    const lists = [...fetched.values()].filter((bytes) => bytes[0] === "{".charCodeAt(0));
    expect(new Set(await Promise.all(lists.map((bytes) => sha256(bytes)))).size).toBe(1);
    expect(decodeBranches(lists[0] as Uint8Array, "the list")).toEqual(branchesOf(run));
  }, 120_000);
});
