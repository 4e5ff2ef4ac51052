import { beforeEach, describe, expect, it } from "vitest";
import type { Assignment } from "./commands.ts";
import type { RunDefinition } from "./events.ts";
import { foldAll } from "./fold.ts";
import { definitionOf, plain, settleWork, TestCoordinator } from "./model.fixture.ts";

let c: TestCoordinator;
beforeEach(() => {
  c = new TestCoordinator();
});

const start = (definition: RunDefinition = definitionOf(), names = ["ann", "bob", "cid"]) => {
  const { runId } = c.do({ type: "createRun", definition });
  const devices = names.map((name) => c.enrol(name));
  return { runId, devices };
};
const run = (runId: string) => {
  const found = c.state.runs.get(runId);
  if (!found) throw new Error(`no run ${runId}`);
  return found;
};
const ask = (deviceId: string): Assignment => {
  const assignment = c.ask(deviceId);
  if (!assignment) throw new Error(`no offer for ${deviceId}`);
  return assignment;
};
const alive = (lease: { deviceId: string; leaseId: string }) =>
  c.do({ type: "heartbeat", deviceId: lease.deviceId, leaseId: lease.leaseId, report: { phase: "training", progress: 0.5 } });
const types = () => c.log.map(({ type }) => type);

describe("planning", () => {
  it("waits for the devices and the classes that are asked for, and then offers each device its own task", () => {
    const { runId } = c.do({ type: "createRun", definition: definitionOf() });
    c.enrol("ann", [10, 10, 10, 0]);
    c.enrol("bob", [10, 10, 0, 0]);
    c.enrol("cid", [10, 10, 0, 0]);
    expect(run(runId).phase).toBe("gathering");
    const dan = c.enrol("dan", [0, 0, 0, 1]);
    expect(run(runId).phase).toBe("train");
    expect(ask(dan)).toMatchObject({ task: { taskId: "train-d4", kind: "train" }, lease: { why: "own" } });
  });

  it("plans with what is there once the time to start has come, and says which classes are missing", () => {
    const { runId } = c.do({ type: "createRun", definition: definitionOf({}, { startBySeconds: 600 }) });
    c.enrol("ann", [10, 10, 10, 0]);
    c.wait(599);
    expect(run(runId).phase).toBe("gathering");
    c.wait(1);
    expect(run(runId)).toMatchObject({ phase: "train", plannedMissing: [3] });
  });

  it("tries again only when the fleet changes where no plan exists", () => {
    let calls = 0;
    c = new TestCoordinator(0, () => {
      calls++;
      return { type: "refused", reason: "Too weak." };
    });
    const { runId } = start();
    c.wait(10);
    c.wait(10);
    expect(calls).toBe(1);
    expect(run(runId)).toMatchObject({ phase: "gathering", reason: "Too weak." });
    c.enrol("dan");
    expect(calls).toBe(2);
  });

  it("leaves out devices with samples of another shape and revoked ones", () => {
    const { runId } = c.do({ type: "createRun", definition: definitionOf({}, { minimumDevices: 2 }) });
    const ann = c.enrol("ann");
    c.do({ type: "revokeDevice", deviceId: ann, reason: "lost" });
    const profile = { macsPerSecond: 1e9, memoryBytes: 1e9, bandwidthBitsPerSecond: 1e6 };
    const data = { classNames: ["zero"], counts: [5], sampleShape: { channels: 3, height: 8, width: 8 }, fingerprint: "x" };
    c.do({ type: "enrol", publicKey: "k", name: "bea", profile, data, software: "test" });
    c.enrol("bob");
    expect(run(runId).phase).toBe("gathering");
    c.enrol("cid");
    expect(run(runId).phase).toBe("train");
    expect(c.try({ type: "requestOffer", deviceId: ann, capabilities: { kinds: ["train"] } })).toMatchObject({
      ok: false,
      code: "revoked",
    });
  });
});

describe("enrolling", () => {
  it("gives the same device to the same key, and notes new facts once", () => {
    const ann = c.enrol("ann");
    expect(c.enrol("ann")).toBe(ann);
    expect(types()).toEqual(["device.enrolled"]);
    expect(c.enrol("ann", [1, 2, 3, 4])).toBe(ann);
    expect(types()).toEqual(["device.enrolled", "device.updated"]);
  });
});

describe("leases", () => {
  it("are given again to a device that asks again, and live on heartbeats without a word in the log", () => {
    const { devices } = start();
    const { lease } = ask(devices[0] as string);
    const length = c.log.length;
    for (let i = 0; i < 100; i++) {
      c.wait(30);
      alive(lease);
    }
    expect(ask(devices[0] as string).lease.leaseId).toBe(lease.leaseId);
    expect(c.log.length).toBe(length);
  });

  it("lapse without heartbeats, are revived by a late one, and go to a substitute after the grace", () => {
    const { devices } = start();
    const [ann, bob, cid] = devices as [string, string, string];
    const first = ask(ann);
    c.complete(bob, ask(bob).lease.leaseId, "bob's");
    c.complete(cid, ask(cid).lease.leaseId, "cid's");
    c.wait(61);
    expect(c.state.leases.size).toBe(0);
    expect(alive(first.lease).cancel).toBe(false);
    expect(types()).toContain("lease.renewed");
    expect(c.state.leases.get(first.lease.leaseId)?.taskId).toBe("train-d1");
    c.wait(61);
    expect(c.ask(bob)).toBeUndefined();
    c.wait(120);
    const taken = ask(bob);
    expect(taken).toMatchObject({ task: { taskId: "train-d1" }, lease: { why: "substitute" } });
    // Ann has most of it done: she may go on beside the substitute, and whoever is first wins.
    expect(alive(first.lease).cancel).toBe(true);
    expect(ask(ann)).toMatchObject({ task: { taskId: "train-d1" }, lease: { why: "returned" } });
    expect(c.complete(ann, first.lease.leaseId, "ann's")).toEqual({ accepted: true });
    expect(alive(taken.lease).cancel).toBe(true);
    expect(c.complete(bob, taken.lease.leaseId, "bob's of ann")).toMatchObject({ accepted: false });
    expect(c.state.runs.first()?.tasks.get("train-d1")?.result?.deviceId).toBe(ann);
  });

  it("have one whole period after a restart, whatever the clock says", () => {
    const { devices } = start();
    const { lease } = ask(devices[0] as string);
    for (const jump of [-86_400, 86_400 * 30]) {
      c.now += 1000 * jump;
      c.restart();
      c.wait(59);
      expect(alive(lease).cancel).toBe(false);
      expect(c.state.leases.has(lease.leaseId)).toBe(true);
    }
    c.restart();
    c.wait(60);
    expect(c.state.leases.size).toBe(0);
  });

  it("of a straggler are doubled once, and the first result ends the other", () => {
    const { devices } = start();
    const [ann, bob, cid] = devices as [string, string, string];
    const slow = ask(ann);
    c.complete(bob, ask(bob).lease.leaseId, "b");
    c.complete(cid, ask(cid).lease.leaseId, "c");
    const minutes = Math.ceil((3 * slow.lease.expectedSeconds) / 50);
    for (let i = 0; i < minutes; i++) {
      expect(c.ask(bob)).toBeUndefined();
      c.wait(50);
      alive(slow.lease);
    }
    const second = ask(bob);
    expect(second).toMatchObject({ task: { taskId: "train-d1" }, lease: { why: "straggler" } });
    expect(c.ask(cid)).toBeUndefined();
    expect(c.complete(bob, second.lease.leaseId, "b of a")).toEqual({ accepted: true });
    expect(alive(slow.lease).cancel).toBe(true);
    expect(c.state.runs.first()?.phase).toBe("statistics");
  });

  it("are another device's for everybody else, and unknown ones lost", () => {
    const { devices } = start();
    const [ann, bob] = devices as [string, string];
    const { lease } = ask(ann);
    const report = { phase: "training", progress: 0 } as const;
    expect(c.try({ type: "heartbeat", deviceId: bob, leaseId: lease.leaseId, report })).toMatchObject({ ok: false, code: "forbidden" });
    expect(c.try({ type: "heartbeat", deviceId: bob, leaseId: "nothing", report })).toMatchObject({ ok: false, code: "leaseLost" });
    expect(c.try({ type: "heartbeat", deviceId: "eve", leaseId: lease.leaseId, report })).toMatchObject({
      ok: false,
      code: "unauthenticated",
    });
  });

  it("of a device that hangs but beats are taken from it in the end", () => {
    const { devices } = start(definitionOf({}, { giveUpAfterSeconds: 300 }));
    const { lease } = ask(devices[0] as string);
    for (let i = 0; i < 60; i++) {
      c.wait(30);
      if (c.state.leases.has(lease.leaseId)) alive(lease);
    }
    expect(c.log).toContainEqual(expect.objectContaining({ type: "lease.expired", leaseId: lease.leaseId, reason: "stuck" }));
    expect(c.ask(devices[0] as string)?.task.taskId).not.toBe("train-d1");
  });
});

describe("results", () => {
  it("are answered the same as often as they are sent, and nothing replaces the first", () => {
    const { devices } = start();
    const ann = devices[0] as string;
    const { lease } = ask(ann);
    expect(c.complete(ann, lease.leaseId, "a")).toEqual({ accepted: true });
    const length = c.log.length;
    expect(c.complete(ann, lease.leaseId, "a")).toEqual({ accepted: true });
    expect(c.complete(ann, lease.leaseId, "other")).toMatchObject({ accepted: false });
    expect(c.judgement(ann, lease.leaseId, "a")).toMatchObject({ type: "answered", answer: { accepted: true } });
    c.restart();
    expect(c.complete(ann, lease.leaseId, "a")).toEqual({ accepted: true });
    expect(c.log.length).toBe(length);
  });

  it("that the gate refuses are set aside with the reason, and the task goes to another device at once", () => {
    const { runId, devices } = start();
    const [ann, bob] = devices as [string, string];
    const { lease } = ask(ann);
    expect(c.complete(ann, lease.leaseId, "poison", false)).toEqual({ accepted: false, reason: "It is broken." });
    expect(c.complete(ann, lease.leaseId, "poison", true)).toEqual({ accepted: false, reason: "It is broken." });
    expect(run(runId).quarantined).toMatchObject([{ taskId: "train-d1", deviceId: ann, reason: "It is broken." }]);
    expect(c.complete(ann, lease.leaseId, "second try", true)).toMatchObject({ accepted: false });
    expect(c.ask(ann)).toBeUndefined();
    c.complete(bob, ask(bob).lease.leaseId, "b");
    expect(ask(bob).task.taskId).toBe("train-d1");
  });

  it("of a lapsed lease are welcome while the task is open, also in a paused run", () => {
    const { runId, devices } = start();
    const ann = devices[0] as string;
    const { lease } = ask(ann);
    c.wait(61);
    c.do({ type: "pauseRun", runId });
    expect(c.complete(ann, lease.leaseId, "late")).toEqual({ accepted: true });
  });

  it("that come when the task was given up are refused", () => {
    const { devices } = start();
    const ann = devices[0] as string;
    const { lease } = ask(ann);
    c.wait(61);
    c.wait(3600);
    expect(types()).toContain("task.givenUp");
    expect(c.complete(ann, lease.leaseId, "too late")).toMatchObject({ accepted: false });
  });
});

describe("failures", () => {
  it("let the device try again after longer and longer waits, and give the task up in the end", () => {
    const { runId, devices } = start();
    const ann = devices[0] as string;
    for (const other of devices.slice(1)) c.complete(other, ask(other).lease.leaseId, other);
    const tries: number[] = [];
    const begin = c.now;
    while (run(runId).tasks.get("train-d1")?.status === "open") {
      const offer = c.ask(ann);
      if (offer) {
        tries.push((c.now - begin) / 1000);
        c.do({ type: "fail", deviceId: ann, leaseId: offer.lease.leaseId, code: "storage", reason: "The disk is full.", retry: true });
        c.do({ type: "fail", deviceId: ann, leaseId: offer.lease.leaseId, code: "storage", reason: "The disk is full.", retry: true });
      }
      c.wait(5);
    }
    expect(tries.slice(0, 5)).toEqual([0, 15, 45, 105, 225]);
    expect(tries.length).toBeLessThan(20);
  });

  it("that are final bar the device and free the task for others", () => {
    const { devices } = start();
    const [ann, bob] = devices as [string, string];
    const { lease } = ask(ann);
    c.do({ type: "fail", deviceId: ann, leaseId: lease.leaseId, code: "data", reason: "No such samples.", retry: false });
    expect(c.ask(ann)).toBeUndefined();
    c.complete(bob, ask(bob).lease.leaseId, "b");
    expect(ask(bob).task.taskId).toBe("train-d1");
  });
});

describe("a run", () => {
  const work = (devices: readonly string[]) => {
    for (const deviceId of devices) {
      const offer = c.ask(deviceId);
      if (offer) c.complete(deviceId, offer.lease.leaseId, `${offer.task.taskId}`);
    }
  };

  it("goes from training through settle passes and sums to its model", () => {
    const { runId, devices } = start(definitionOf(settleWork("together")));
    work(devices);
    expect(run(runId)).toMatchObject({ phase: "settle", pass: 1 });
    work(devices);
    expect(run(runId)).toMatchObject({ phase: "settle", pass: 2 });
    work(devices);
    expect(run(runId).phase).toBe("statistics");
    work(devices);
    expect(run(runId).phase).toBe("assemble");
    c.assemble();
    expect(run(runId)).toMatchObject({ phase: "finished", missingClasses: [] });
  });

  it("settles one device after another in an order of the seed's", () => {
    const { devices } = start(definitionOf(settleWork("sequential", 1)));
    work(devices);
    const turns: string[] = [];
    for (let i = 0; i < 3; i++) {
      const open = [...(c.state.runs.first()?.open ?? [])].map(([, taskId]) => taskId);
      expect(open.length).toBe(1);
      turns.push(open[0] as string);
      const offers = devices.map((deviceId) => c.ask(deviceId)).filter((offer) => offer !== undefined);
      expect(offers.map(({ task }) => task.taskId)).toEqual(open);
      for (const { lease } of offers) c.complete(lease.deviceId, lease.leaseId, "settled");
    }
    expect([...turns].sort()).toEqual(["settle1-d1", "settle1-d2", "settle1-d3"]);
    expect(c.state.runs.first()?.phase).toBe("statistics");
  });

  it.each(["together", "sequential"] as const)("lets devices sit out passes of settling %s", (order) => {
    const { settle } = settleWork(order, 3);
    const { devices } = start(definitionOf({ settle: settle && { ...settle, skip: { d1: [1, 2], d2: [2], d3: [2, 3] } } }));
    work(devices);
    for (let i = 0; i < 9; i++) work(devices);
    const settled = [...(c.state.runs.first()?.tasks.keys() ?? [])].filter((taskId) => taskId.startsWith("settle")).sort();
    // Nobody takes part in the second pass.
    expect(settled).toEqual(["settle1-d2", "settle1-d3", "settle3-d1", "settle3-d2"]);
    expect(c.state.runs.first()?.phase).toBe("assemble");
  });

  it("leaves lost devices behind, and says which classes its model cannot tell", () => {
    const { runId, devices } = start();
    c.enrol("spare", [0, 1, 0, 0]);
    work(devices.slice(1));
    c.do({ type: "revokeDevice", deviceId: devices[0] as string, reason: "stolen" });
    for (const deviceId of devices.slice(1)) c.do({ type: "revokeDevice", deviceId, reason: "gone" });
    c.wait(3600);
    expect(run(runId).phase).toBe("statistics");
    c.wait(3600);
    c.assemble();
    expect(run(runId)).toMatchObject({ phase: "finished", missingClasses: [0, 3] });
  });

  it("fails when nobody brings anything, and tries again when resumed", () => {
    const { runId, devices } = start();
    c.wait(3600);
    expect(run(runId).phase).toBe("failed");
    expect(c.ask(devices[0] as string)).toBeUndefined();
    c.do({ type: "resumeRun", runId });
    work(devices);
    expect(run(runId).phase).toBe("statistics");
  });

  it("stands still while paused and does not give up then", () => {
    const { runId, devices } = start();
    const { lease } = ask(devices[0] as string);
    c.do({ type: "pauseRun", runId });
    expect(alive(lease).cancel).toBe(true);
    expect(c.ask(devices[0] as string)).toBeUndefined();
    c.wait(36_000);
    expect(run(runId).phase).toBe("train");
    c.do({ type: "resumeRun", runId });
    expect(ask(devices[0] as string).task.taskId).toBe("train-d1");
  });

  it("does not give up for the time in which the coordinator was down", () => {
    const { runId } = start();
    c.now += 1000 * 86_400;
    c.restart();
    c.wait(1);
    expect(run(runId).phase).toBe("train");
  });

  it("is harvested at any time from what is there", () => {
    const { runId, devices } = start();
    expect(c.try({ type: "requestHarvest", runId })).toMatchObject({ ok: false, code: "conflict" });
    work(devices.slice(0, 1));
    const { harvestId } = c.do({ type: "requestHarvest", runId });
    expect(run(runId).harvests).toEqual([{ harvestId, slots: ["d1"], missingClasses: [1, 2] }]);
    c.restart();
    c.assemble();
    expect(run(runId).harvests[0]?.outputs).toHaveLength(1);
    c.assemble();
    expect(types().filter((type) => type === "harvest.made")).toHaveLength(1);
  });

  it("is cancelled and archived, after which its leases are forgotten", () => {
    const { runId, devices } = start();
    const ann = devices[0] as string;
    const { lease } = ask(ann);
    expect(c.try({ type: "archiveRun", runId })).toMatchObject({ ok: false, code: "conflict" });
    c.do({ type: "cancelRun", runId });
    expect(alive(lease).cancel).toBe(true);
    expect(c.complete(ann, lease.leaseId, "a")).toMatchObject({ accepted: false });
    expect(c.try({ type: "resumeRun", runId })).toMatchObject({ ok: false, code: "conflict" });
    c.do({ type: "archiveRun", runId });
    expect(c.state.endedLeases.size).toBe(0);
    c.do({ type: "archiveRun", runId });
    c.do({ type: "runAssembled", runId, outputs: [] });
    for (const type of ["pauseRun", "resumeRun", "cancelRun", "requestHarvest"] as const)
      expect(c.try({ type, runId }), type).toMatchObject({ ok: false, code: "conflict" });
    expect(c.try({ type: "archiveRun", runId: "none" })).toMatchObject({ ok: false, code: "notFound" });
  });

  it("is cancelled after it was archived, as older logs say of failed runs", () => {
    const { runId } = start();
    const failed = [...c.log, { type: "run.failed", runId, reason: "No.", at: c.now } as const];
    const state = foldAll([...failed, { type: "run.archived", runId, at: c.now }, { type: "run.cancelled", runId, at: c.now }]);
    expect(state.archive.get(runId)).toMatchObject({ phase: "cancelled", reason: "No." });
  });

  it("leaves little in memory once it is archived", () => {
    const size = (): number => JSON.stringify(plain(c.state)).length;
    const night = (name: string): void => {
      const { runId } = c.do({ type: "createRun", definition: { ...definitionOf(), name, config: { notes: "long ".repeat(10_000) } } });
      for (let i = 0; run(runId).phase !== "finished"; i++) {
        expect(i).toBeLessThan(20);
        work(devices);
        c.do({ type: "requestHarvest", runId });
        c.assemble();
      }
      c.do({ type: "archiveRun", runId });
    };
    const devices = ["ann", "bob", "cid"].map((name) => c.enrol(name));
    night("first");
    const first = size();
    for (let i = 0; i < 20; i++) night(`night ${i}`);
    expect((size() - first) / 20).toBeLessThan(2000);
    expect(c.state).toMatchObject({ runs: { size: 0 }, archive: { size: 21 }, leases: { size: 0 }, endedLeases: { size: 0 } });
    c.wait(3600);
    expect([c.liveness.expiry.size, c.liveness.reports.size, c.liveness.seenAt.size]).toEqual([0, 0, 3]);
    expect(c.state.sequence).toBe(c.log.length);
    expect(plain(foldAll(c.log))).toEqual(plain(c.state));
  });

  it("shares its devices with others, first come first served", () => {
    const { devices } = start();
    const second = c.do({ type: "createRun", definition: definitionOf() }).runId;
    work(devices);
    work(devices);
    expect(run(second).phase).toBe("train");
    expect(ask(devices[0] as string).run.runId).toBe(second);
  });
});
