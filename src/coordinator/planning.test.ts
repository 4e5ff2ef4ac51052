import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { placeLayers } from "../network/shapes.ts";
import { offerSchema } from "../protocol/messages.ts";
import { random } from "../util/random.ts";
import type { Assignment } from "./commands.ts";
import type { PlanSettings, RunDefinition, RunWork } from "./events.ts";
import { classNames, definitionOf, sampleShape, settleWork, TestCoordinator } from "./model.fixture.ts";
import { freeName, plannedSpeed, planRun, slotNames } from "./planning.ts";
import { branchesFor, branchesOf, inputsOf, referencedObjects, taskSpec } from "./spec.ts";
import type { Device } from "./state.ts";

const deviceOf = (name: string, counts: readonly number[] | undefined, changes: Partial<Device> = {}): Device => ({
  deviceId: `id-${name}`,
  publicKey: name,
  name,
  profile: { macsPerSecond: 1e9, memoryBytes: 4e9, bandwidthBitsPerSecond: 1e8 },
  data: { classNames, ...(counts ? { counts } : { present: [true, true, true, true] }), sampleShape, fingerprint: name },
  software: "test",
  enrolledAt: 0,
  ...changes,
});

const planned = (devices: readonly Device[], planning: Partial<PlanSettings> = {}, missing: readonly number[] = []) => {
  const definition: RunDefinition = { ...definitionOf(), planning: { ...definitionOf().planning, ...planning } };
  const outcome = planRun(definition, devices, missing);
  if (outcome.type === "refused") throw new Error(outcome.reason);
  return outcome;
};

describe("the plan of a fleet", () => {
  it("gives each device classes that it holds, and every class an owner", () => {
    const devices = [deviceOf("a", [100, 90, 0, 0]), deviceOf("b", [0, 0, 80, 0]), deviceOf("c", [0, 5, 0, 70])];
    const { slots } = planned(devices);
    expect(slots.map(({ slot }) => slot)).toEqual(["a", "b", "c"]);
    for (const [i, { taskSet, ownSamples }] of slots.entries()) {
      const counts = devices[i]?.data.counts ?? [];
      expect(taskSet.every((classId) => (counts[classId] ?? 0) > 0)).toBe(true);
      expect(ownSamples).toBe(taskSet.reduce((sum, classId) => sum + (counts[classId] ?? 0), 0));
    }
    expect(new Set(slots.flatMap(({ taskSet }) => taskSet)).size).toBe(4);
  });

  it("leaves out classes that nobody holds", () => {
    const { slots } = planned([deviceOf("a", [10, 10, 10, 0]), deviceOf("b", [10, 10, 10, 0])], {}, [3]);
    expect(new Set(slots.flatMap(({ taskSet }) => taskSet))).toEqual(new Set([0, 1, 2]));
  });

  it("does with devices that keep their counts to themselves", () => {
    const { slots } = planned([deviceOf("a", undefined), deviceOf("b", undefined)]);
    expect(slots).toHaveLength(2);
  });

  it("counts the same samples on several devices once", () => {
    const same = (name: string) =>
      deviceOf(name, [100, 100, 100, 100], { data: { ...deviceOf(name, [100, 100, 100, 100]).data, fingerprint: "same" } });
    const { slots } = planned([same("a"), same("b")], { disjoint: true, overlap: "share" });
    expect(slots.reduce((sum, { ownSamples }) => sum + ownSamples, 0)).toBe(400);
    expect(slots[0]?.backgroundSamples).toBe(Math.round(0.25 * (400 - (slots[0]?.ownSamples ?? 0))));
  });

  it("honours what a device asks for", () => {
    const { slots } = planned([deviceOf("a", [9, 9, 9, 9], { preferredClasses: ["three", "no such"] }), deviceOf("b", [9, 9, 9, 9])], {
      disjoint: true,
    });
    expect(slots[0]?.taskSet).toContain(3);
  });

  it("admits a newcomer with classes that have fewest owners, once, while others train and the run allows it", () => {
    const c = new TestCoordinator(0, planRun);
    const { runId } = c.do({ type: "createRun", definition: definitionOf({}, { minimumDevices: 2, admitLate: true }) });
    const ann = c.enrol("ann", [50, 50, 0, 0]);
    c.enrol("bob", [50, 50, 50, 50]);
    const before = c.state.runs.get(runId)?.slotOrder;
    const late = c.enrol("ann", [50, 50, 50, 50]);
    expect(late).toBe(ann);
    expect(c.state.runs.get(runId)?.slotOrder).toEqual(before);
    const cid = c.enrol("cid", [0, 0, 50, 50]);
    c.wait(1);
    expect(c.state.runs.get(runId)?.slotOrder.toArray()).toEqual(["ann", "bob", "cid"]);
    expect(c.ask(cid)?.task.taskId).toBe("train-cid");
    expect(
      c.state.runs
        .get(runId)
        ?.slots.get("cid")
        ?.taskSet.every((classId) => classId >= 2),
    ).toBe(true);
  });

  it("gives whole groups of classes, to devices with the same samples and to devices with different ones", () => {
    const groups = { classGroups: [0, 1, 1, 0], classesPerDevice: 2 };
    const same = (name: string) => deviceOf(name, [9, 9, 9, 9], { data: { ...deviceOf(name, [9, 9, 9, 9]).data, fingerprint: "same" } });
    const alike = planned([same("a"), same("b")], groups).slots.map(({ taskSet }) => taskSet);
    expect([...alike].sort()).toEqual([
      [0, 3],
      [1, 2],
    ]);
    // Most of one class, but more of the other group.
    const different = planned([deviceOf("a", [50, 40, 40, 1]), deviceOf("b", [40, 30, 30, 40])], groups);
    expect(different.slots.map(({ taskSet }) => taskSet)).toEqual([
      [1, 2],
      [0, 3],
    ]);
  });

  it("counts weights to start from, and fewer passes where some are sat out", () => {
    const devices = [deviceOf("a", [50, 50, 50, 50]), deviceOf("b", [50, 50, 50, 50])];
    const settle = { passes: 2, epochs: 1, backgroundShare: 1 };
    const of = (work: Partial<RunWork>) => {
      const definition = definitionOf(work);
      const outcome = planRun({ ...definition, planning: { ...definition.planning, settle, width: 0.5 } }, devices, []);
      if (outcome.type === "refused") throw new Error(outcome.reason);
      return outcome.slots;
    };
    const [plain, warm] = [of({}), of({ warmStart: { target: { role: "target", sha256: "0".repeat(64), bytes: 1 } } })];
    expect(warm[0]?.bytesDown).toBeGreaterThan(plain[0]?.bytesDown ?? 0);
    const work = settleWork("together", 2).settle;
    const [a, b] = of({ settle: work && { ...work, skip: { b: [1] } } });
    expect(a?.macs.settle).toBe(plain[0]?.macs.settle);
    expect(b?.macs.settle).toBe((plain[1]?.macs.settle ?? 0) / 2);
  });

  it("is the same however noisy the benchmark was within a step, and sees every device at most as fast as it is", () => {
    const planAt = (noise: () => number, speeds = [3.4e7, 1.4e8, 2.3e9]) =>
      planned(
        speeds.map((speed, i) => {
          const macsPerSecond = 2 ** (Math.floor(2 * Math.log2(speed)) / 2 + 0.25) * noise();
          return deviceOf(`d${i}`, [50, 50, 50, 50], {
            profile: { macsPerSecond, memoryBytes: 4e9, bandwidthBitsPerSecond: 1.2e8 * noise() },
          });
        }),
        { width: 0.5, redundancy: 2 },
      ).slots;
    const quiet = planAt(() => 1);
    expect(quiet[0]?.taskSet.length).toBeLessThan(quiet[2]?.taskSet.length ?? 0);
    const source = random(1, "noise");
    for (let i = 0; i < 6; i++) expect(planAt(() => 0.87 + 0.26 * source.uniform())).toEqual(quiet);
    expect(planAt(() => 1, [2.3e9, 1.4e8, 2.3e9])).not.toEqual(quiet);
    fc.assert(
      fc.property(fc.double({ min: 1, max: 1e15, noNaN: true }), (speed) => {
        const seen = plannedSpeed(speed);
        expect(seen).toBeLessThanOrEqual(speed * (1 + 1e-9));
        expect(seen).toBeGreaterThan(speed / 1.42);
        expect(plannedSpeed(seen)).toBe(seen);
      }),
    );
  });

  it("is refused with the planner's sentence where it is not possible", () => {
    const weak = deviceOf("a", [9, 9, 9, 9], { profile: { macsPerSecond: 1e9, memoryBytes: 1e3, bandwidthBitsPerSecond: 1e6 } });
    expect(planRun(definitionOf(), [weak], [])).toMatchObject({ type: "refused", reason: expect.stringMatching(/"a"/) });
  });

  it("names branches after devices, each once, in letters for files", () => {
    expect(slotNames(["pi 3", "pi/3", "pi-3", "..", "x".repeat(99)])).toEqual(["pi-3", "pi-3-2", "pi-3-3", "device", "x".repeat(40)]);
  });
});

describe("specifications", () => {
  /** A run with the real planner, to the given task; all offers on the way must be messages that the protocol takes. */
  function runTo(definition: RunDefinition, isWanted: (assignment: Assignment) => boolean) {
    const c = new TestCoordinator(1_000_000, planRun);
    const { runId } = c.do({ type: "createRun", definition });
    const devices = ["ann", "bob", "cid"].map((name) => c.enrol(name, [50, 50, 50, 50]));
    for (let turn = 0; turn < 30; turn++) {
      for (const deviceId of devices) {
        const offer = c.ask(deviceId);
        if (!offer) continue;
        const { lease, run, task } = offer;
        const branches = { role: "branches", sha256: "b".repeat(64), bytes: 9 };
        const objects = task.kind === "train" ? {} : { branches };
        const spec = taskSpec(run, task, objects);
        const message = {
          leaseId: lease.leaseId,
          runId,
          kind: task.kind,
          spec,
          inputs: inputsOf(run, objects),
          expiresAt: offer.expiresAt,
          heartbeatMs: 15_000,
        };
        expect(offerSchema.parse(JSON.parse(JSON.stringify(message)))).toEqual(message);
        if (isWanted(offer)) return { c, runId, offer, spec };
        c.complete(deviceId, lease.leaseId, hashOf(task.taskId));
      }
    }
    throw new Error("never came to it");
  }
  const hashes = new Map<string, string>();
  const hashOf = (taskId: string): string => {
    if (!hashes.has(taskId)) hashes.set(taskId, hashes.size.toString(16).padStart(64, "0"));
    return hashes.get(taskId) as string;
  };

  it("of training have the narrow network with a logit for each own class and one for others", () => {
    const { spec, offer } = runTo(definitionOf(), () => true);
    if (spec.kind !== "train") throw new Error(spec.kind);
    expect(placeLayers(spec.network).at(-1)?.output.channels).toBe(offer.slot.taskSet.length + 1);
    expect(spec).toMatchObject({ taskId: "train-ann", device: "ann", seed: 7, classNames });
  });

  it("of sums name the branches as they are after all settle passes", () => {
    const { spec, offer } = runTo(definitionOf(settleWork("sequential", 2)), ({ task }) => task.kind === "statistics");
    if (spec.kind !== "statistics") throw new Error(spec.kind);
    expect(branchesFor(offer.run, offer.task).map(({ device, parameters }) => [device, parameters])).toEqual(
      ["ann", "bob", "cid"].map((name) => [name, hashOf(`settle2-${name}`)]),
    );
  });

  it.each(["together", "sequential"] as const)(
    "of settling %s show the others as they are at that place, however late they are asked for",
    (order) => {
      const seen: string[] = [];
      const { c, runId, offer, spec } = runTo(definitionOf(settleWork(order, 1)), ({ task, run }) => {
        if (task.kind === "settle") seen.push(task.slot);
        return (
          task.kind === "settle" &&
          [...run.tasks.values()].filter(({ kind, status }) => kind === "settle" && status === "done").length === 2
        );
      });
      if (spec.kind !== "settle") throw new Error(spec.kind);
      const before = order === "together" ? [] : seen.slice(0, -1);
      for (const { device, parameters } of branchesFor(offer.run, offer.task)) {
        expect(parameters).toBe(hashOf(before.includes(device) ? `settle1-${device}` : `train-${device}`));
      }
      const run = c.state.runs.get(runId);
      expect(run && branchesFor(run, offer.task)).toEqual(branchesFor(offer.run, offer.task));
      const named = referencedObjects(c.state);
      expect(branchesOf(offer.run).every(({ parameters }) => named.has(parameters))).toBe(true);
    },
  );
});

describe("a large fleet", () => {
  it("finds names for devices of one name in few steps each, the same as one by one", () => {
    const names = slotNames(Array<string>(5000).fill("pi"));
    expect(names.slice(0, 3)).toEqual(["pi", "pi-2", "pi-3"]);
    expect(names.at(-1)).toBe("pi-5000");
    const taken = new Set(names);
    let asked = 0;
    const isTaken = (name: string): boolean => ++asked > 0 && taken.has(name);
    expect(freeName("pi", isTaken)).toBe("pi-5001");
    expect(asked).toBeLessThan(40);
  });

  it("is not planned as if each device held the samples of all", () => {
    const counts = [100, 100, 100, 100];
    const memoryBytes = 160e6;
    const fleet = (count: number): readonly Device[] =>
      Array.from({ length: count }, (_, i) =>
        deviceOf(`d${String(i).padStart(4, "0")}`, counts, { profile: { macsPerSecond: 1e9, memoryBytes, bandwidthBitsPerSecond: 1e8 } }),
      );
    const settings = { statisticsPass: false, classesPerDevice: 2 };
    const [few, many] = [planned(fleet(4), settings), planned(fleet(400), settings)];
    expect(many.excluded).toEqual([]);
    expect(many.slots).toHaveLength(400);
    expect(many.slots[0]?.size).toBe(few.slots[0]?.size);
  });
});
