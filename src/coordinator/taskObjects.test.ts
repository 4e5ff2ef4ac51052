import { describe, expect, it } from "vitest";
import { decodeBranches } from "../protocol/branchList.ts";
import { offerSchema } from "../protocol/messages.ts";
import type { Assignment } from "./commands.ts";
import type { RunDefinition } from "./events.ts";
import { openMemoryObjects } from "./memory.ts";
import { definitionOf, settleWork, TestCoordinator } from "./model.fixture.ts";
import { planRun } from "./planning.ts";
import { inputsOf, referencedObjects, taskSpec } from "./spec.ts";
import type { Task } from "./state.ts";
import { openTaskObjects, type TaskObjectsKeeper } from "./taskObjects.ts";

/** Takes a fleet to its first task that is wanted; everybody before it hands something in. */
function runTo(deviceCount: number, definition: RunDefinition, isWanted: (task: Task) => boolean) {
  const c = new TestCoordinator(1_000_000, planRun);
  c.do({ type: "createRun", definition: { ...definition, policy: { ...definition.policy, minimumDevices: deviceCount } } });
  const devices = Array.from({ length: deviceCount }, (_, i) => c.enrol(`device ${i + 100}`, [50, 50, 50, 50]));
  for (let turn = 0; turn < 3 * deviceCount + 9; turn++) {
    for (const deviceId of devices) {
      const offer = c.ask(deviceId);
      if (!offer) continue;
      if (isWanted(offer.task)) return { c, devices, deviceId, offer };
      c.complete(deviceId, offer.lease.leaseId, (turn * 1000 + devices.indexOf(deviceId)).toString(16).padStart(64, "0"));
    }
  }
  throw new Error("never came to it");
}
const offerOf = async ({ lease, run, task, expiresAt }: Assignment, keeper: TaskObjectsKeeper) => {
  const { objects } = await keeper.of(run, task);
  const { leaseId, runId } = lease;
  return {
    leaseId,
    runId,
    kind: task.kind,
    spec: taskSpec(run, task, objects),
    inputs: inputsOf(run, objects),
    expiresAt,
    heartbeatMs: 9000,
  };
};
const textOf = async (stream: ReadableStream<Uint8Array<ArrayBuffer>> | undefined): Promise<Uint8Array> =>
  new Uint8Array(await new Response(stream ?? null).arrayBuffer());

const kinds = {
  train: definitionOf(),
  statistics: definitionOf(),
  settle: definitionOf(settleWork("sequential", 1)),
} as const;

describe.each(["train", "statistics", "settle"] as const)("an offer of %s", (kind) => {
  it("is as long in a fleet of 60 as in one of 4", async () => {
    const lengths: number[] = [];
    for (const deviceCount of [4, 60]) {
      const { offer } = runTo(deviceCount, kinds[kind], (task) => task.kind === kind);
      const message = await offerOf(offer, openTaskObjects({ put: (bytes) => openMemoryObjects().put(bytes) }));
      expect(offerSchema.parse(JSON.parse(JSON.stringify(message)))).toEqual(message);
      // The length of the list itself, and which device is first, are a few digits.
      lengths.push(JSON.stringify(message).length);
    }
    expect(Math.abs((lengths[1] as number) - (lengths[0] as number))).toBeLessThan(100);
  });
});

describe("the objects of tasks", () => {
  const setting = () => {
    const objects = openMemoryObjects();
    let puts = 0;
    const keeper = openTaskObjects({
      put: (bytes) => {
        puts++;
        return objects.put(bytes);
      },
      initialOf: async (run, { slot }) => new TextEncoder().encode(`${run.runId} ${slot}`),
    });
    return { objects, keeper, puts: () => puts };
  };

  it("list the branches with their weights, once for all devices of a stage, and let these be read", async () => {
    const { objects, keeper, puts } = setting();
    const { c, devices, offer } = runTo(5, kinds.statistics, ({ kind }) => kind === "statistics");
    const { objects: made, readable } = await keeper.of(offer.run, offer.task);
    const list = made.branches as NonNullable<typeof made.branches>;
    expect(list.role).toBe("branches");
    const branches = decodeBranches(await textOf(await objects.read(list.sha256)), "the list");
    expect(branches).toHaveLength(5);
    const weights = [...offer.run.slotOrder].map((slot) => offer.run.tasks.get(`train-${slot}`)?.result?.outputs[0]);
    expect(branches.map(({ parameters, parameterBytes }) => [parameters, parameterBytes])).toEqual(
      weights.map((object) => [object?.sha256, object?.bytes]),
    );
    expect(readable).toEqual(new Set([list.sha256, ...branches.map(({ parameters }) => parameters)]));
    for (const deviceId of devices) {
      const other = c.ask(deviceId);
      if (other) expect((await keeper.of(other.run, other.task)).objects).toEqual(made);
    }
    expect(puts()).toBe(1);
  });

  it("are starting weights of each place of its own", async () => {
    const { keeper } = setting();
    const { c, devices } = runTo(3, kinds.train, () => true);
    const offers = devices.flatMap((deviceId) => c.ask(deviceId) ?? []);
    const all = await Promise.all(offers.map(({ run, task }) => keeper.of(run, task)));
    expect(new Set(all.map(({ objects }) => objects.initial?.sha256)).size).toBe(3);
    for (const { objects, readable } of all) expect([...readable]).toEqual([objects.initial?.sha256]);
    const spec = taskSpec(offers[0]!.run, offers[0]!.task, all[0]!.objects);
    expect(spec).toMatchObject({ kind: "train", initial: all[0]!.objects.initial?.sha256 });
  });

  it("are kept while their stage lasts and no longer, and are made again after a restart", async () => {
    const { objects, keeper } = setting();
    const { c, devices, offer } = runTo(3, kinds.settle, ({ kind }) => kind === "settle");
    const collect = () => {
      const names = new Set([...referencedObjects(c.state), ...keeper.names(c.state)]);
      return objects.collect({ keep: (name) => names.has(name), nowMs: Date.now() + 1e6, graceMs: 0 });
    };
    const first = (await keeper.of(offer.run, offer.task)).objects.branches?.sha256 as string;
    expect((await collect()).objects).toEqual([]);
    // Somebody else's restart: nothing known, the same made.
    const again = openTaskObjects({ put: (bytes) => objects.put(bytes) });
    expect(again.names(c.state).size).toBe(0);
    expect((await again.of(offer.run, offer.task)).objects.branches?.sha256).toBe(first);
    c.complete(offer.lease.deviceId, offer.lease.leaseId, "f".repeat(64));
    const next = devices.flatMap((deviceId) => c.ask(deviceId) ?? [])[0] as Assignment;
    expect(next.task.kind).toBe("settle");
    const second = (await keeper.of(next.run, next.task)).objects.branches?.sha256;
    expect(second).not.toBe(first);
    expect((await collect()).objects).toEqual([first]);
    c.do({ type: "cancelRun", runId: next.run.runId });
    expect((await collect()).objects).toEqual([second]);
  });

  it("that could not be stored are tried again", async () => {
    let isFull = true;
    const keeper = openTaskObjects({
      put: async (bytes) => {
        if (isFull) throw new Error("full");
        return openMemoryObjects().put(bytes);
      },
    });
    const { offer } = runTo(2, kinds.statistics, ({ kind }) => kind === "statistics");
    await expect(keeper.of(offer.run, offer.task)).rejects.toThrow("full");
    isFull = false;
    expect((await keeper.of(offer.run, offer.task)).objects.branches).toBeDefined();
  });
});
