import { beforeEach, describe, expect, it } from "vitest";
import { deviceSummarySchema, runSummarySchema } from "../protocol/operatorMessages.ts";
import type { FleetPolicy } from "./events.ts";
import { definitionOf, TestCoordinator } from "./model.fixture.ts";
import type { Device, Run } from "./state.ts";
import { deviceSummary, runSummary } from "./views.ts";
import { deviceWaitsFor, runWaitsFor } from "./waiting.ts";

let c: TestCoordinator;
beforeEach(() => {
  c = new TestCoordinator();
});

const create = (changes: Partial<FleetPolicy> = {}): string => c.do({ type: "createRun", definition: definitionOf({}, changes) }).runId;
const ofRun = (runId: string) => runWaitsFor(c.state, c.state.runs.get(runId) as Run, c.liveness, c.now);
const ofDevice = (deviceId: string) => deviceWaitsFor(c.state, c.state.devices.get(deviceId) as Device, c.now);
const all = [9, 9, 9, 9];
const fleet = (): string[] => ["a", "b", "c"].map((name) => c.enrol(name, all));
const finish = (deviceId: string): void => {
  const offer = c.ask(deviceId);
  if (offer) c.complete(deviceId, offer.lease.leaseId, offer.task.taskId);
};

describe("a run waits", () => {
  it("for devices, and says how many are there", () => {
    const runId = create();
    expect(ofRun(runId)).toMatchObject({ code: "fewDevices", reason: expect.stringContaining("0 of 3") });
    c.enrol("a", all);
    // Without samples of the run a device does not count.
    c.enrol("b", [0, 0, 0, 0]);
    expect(ofRun(runId)?.reason).toContain("1 of 3");
  });

  it("for owners of classes, by name", () => {
    const runId = create({ minimumDevices: 2 });
    c.enrol("a", [9, 9, 0, 0]);
    c.enrol("b", [9, 9, 0, 9]);
    expect(ofRun(runId)).toMatchObject({ code: "classWithoutOwner", reason: expect.stringContaining("Of two nobody has samples") });
    const strict = create({ minimumDevices: 1, minimumOwners: 2 });
    expect(ofRun(strict)?.reason).toContain("Of two, three fewer than 2 devices");
  });

  it("with the planner's sentence where there is no plan", () => {
    c = new TestCoordinator(1, () => ({ type: "refused", reason: "Nobody has memory." }));
    const runId = create({ minimumDevices: 1 });
    c.enrol("a", all);
    expect(ofRun(runId)).toEqual({ code: "noPlan", reason: "Nobody has memory." });
  });

  it("for those whose parts are open, and not while one is at work", () => {
    const runId = create();
    const [a, b] = fleet() as [string, string];
    expect(ofRun(runId)).toMatchObject({ code: "noWorker", reason: expect.stringContaining("it waits for a, b, c,") });
    const offer = c.ask(a);
    expect(ofRun(runId)).toBeUndefined();
    c.complete(a, offer?.lease.leaseId ?? "", "x");
    expect(ofRun(runId)?.reason).toContain("for b, c,");
    finish(b);
    expect(ofRun(runId)?.reason).toContain("for c,");
  });

  it("for one that is lost, and says since when, until when, and what to type", () => {
    const runId = create({ lostAfterSeconds: 1800, minimumSampleShare: 2 });
    const [a, b] = fleet() as [string, string, string];
    for (const deviceId of [a, b]) finish(deviceId);
    c.wait(600);
    c.ask(a);
    const waits = ofRun(runId);
    expect(waits).toMatchObject({ code: "noWorker", reason: expect.stringContaining("for c (not heard of for 10 m 00 s)") });
    expect(waits?.reason).toMatch(/goes on without them in 30 m 00 s.*`sheaf devices excuse`.*`sheaf harvest`/);
    expect(waits?.until).toBe(c.now + 1_800_000);
    c.restart();
    expect(ofRun(runId)?.reason).toContain("for c (not heard of since the coordinator was started");
  });

  it("while it is paused, and not once it is over", () => {
    const runId = create();
    fleet();
    c.do({ type: "pauseRun", runId });
    expect(ofRun(runId)?.code).toBe("paused");
    c.do({ type: "cancelRun", runId });
    expect(ofRun(runId)).toBeUndefined();
  });
});

describe("a device waits", () => {
  it("for a run, for its beginning, for its own task, and not while it works", () => {
    const a = c.enrol("a", all);
    expect(ofDevice(a)?.code).toBe("noRun");
    create({ minimumDevices: 2 });
    expect(ofDevice(a)).toMatchObject({ code: "gathering", reason: expect.stringContaining("1 of 2") });
    c.enrol("b", all);
    expect(ofDevice(a)).toMatchObject({ code: "due", reason: expect.stringContaining("train-d1") });
    c.ask(a);
    expect(ofDevice(a)).toBeUndefined();
  });

  it("for others to finish, and for a run that is paused", () => {
    const runId = create();
    const [a] = fleet() as [string];
    finish(a);
    expect(ofDevice(a)).toMatchObject({ code: "otherDevices", reason: expect.stringContaining("2 open tasks") });
    c.do({ type: "pauseRun", runId });
    expect(ofDevice(a)?.code).toBe("paused");
  });

  it("after a failure for a while, and after a refusal for good", () => {
    create();
    const [a, b] = fleet() as [string, string];
    const fail = (deviceId: string, retry: boolean): void => {
      const leaseId = c.ask(deviceId)?.lease.leaseId ?? "";
      c.do({ type: "fail", deviceId, leaseId, code: "data", reason: "no", retry });
    };
    fail(a, true);
    expect(ofDevice(a)).toMatchObject({ code: "resting", reason: expect.stringContaining("train-d1") });
    fail(b, false);
    expect(ofDevice(b)).toMatchObject({ code: "barred", reason: expect.stringContaining("train-d2") });
  });

  it("where a run has no part for it, or no use for its samples; what it can do elsewhere comes first", () => {
    create();
    const [a] = fleet() as [string];
    const late = c.enrol("late", all);
    const other = c.enrol("other", [0, 0, 0, 0]);
    expect(ofDevice(late)?.code).toBe("noPart");
    expect(ofDevice(other)?.code).toBe("noSamples");
    create({ minimumDevices: 9 });
    expect(ofDevice(a)?.code).toBe("due");
    expect(ofDevice(late)?.code).toBe("gathering");
    c.do({ type: "revokeDevice", deviceId: a, reason: "stolen" });
    expect(ofDevice(a)).toBeUndefined();
  });
});

describe("the views", () => {
  it("tell it of runs and idle devices, in messages that the protocol takes", () => {
    const runId = create();
    const a = c.enrol("a", all);
    const run = runSummary(c.state.runs.get(runId) as Run, ofRun(runId));
    const device = (now: number) => deviceSummary(c.state, c.liveness, c.state.devices.get(a) as Device, now);
    expect(runSummarySchema.parse(run).waitsFor?.code).toBe("fewDevices");
    expect(deviceSummarySchema.parse(device(c.now)).waitsFor?.code).toBe("gathering");
    // Of one that is away nobody knows whether it waits.
    expect(device(c.now + 1e9)).not.toHaveProperty("waitsFor");
  });
});
