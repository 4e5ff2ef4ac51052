import { beforeEach, describe, expect, it } from "vitest";
import type { FleetPolicy } from "./events.ts";
import { definitionOf, TestCoordinator } from "./model.fixture.ts";
import type { Run } from "./state.ts";

const all = [9, 9, 9, 9];
const minute = 60;
let c: TestCoordinator;
let runId: string;
let devices: Record<"a" | "b" | "c", string>;

/** Three devices with samples of their own, and a run that gives lost ones up after half an hour. */
function start(changes: Partial<FleetPolicy> = {}, work: Parameters<typeof definitionOf>[0] = {}, fingerprint?: string): void {
  c = new TestCoordinator();
  const policy = { lostAfterSeconds: 30 * minute, substituteAfterSeconds: 2 * minute, giveUpAfterSeconds: 24 * 60 * minute, ...changes };
  runId = c.do({ type: "createRun", definition: definitionOf(work, policy) }).runId;
  devices = { a: c.enrol("a", all, fingerprint), b: c.enrol("b", all, fingerprint), c: c.enrol("c", all, fingerprint) };
}
const run = (): Run => c.state.runs.get(runId) as Run;
const finish = (...names: readonly (keyof typeof devices)[]): void => {
  for (const name of names) {
    const offer = c.ask(devices[name]);
    if (!offer) throw new Error(`Nothing is offered to ${name}.`);
    c.complete(devices[name], offer.lease.leaseId, offer.task.taskId);
  }
};
/** Minute by minute, in which these devices ask for work. */
const pass = (minutes: number, ...present: readonly (keyof typeof devices)[]): void => {
  for (let i = 0; i < minutes; i++) {
    c.wait(minute);
    for (const name of present) c.ask(devices[name]);
  }
};
const givenUp = (): string[] => [...run().tasks.values()].flatMap(({ status, taskId }) => (status === "givenUp" ? [taskId] : []));

/** All have trained, and of the sums only those of c are missing, which nobody else can make. */
function untilSumsOfC(): void {
  finish("a", "b", "c");
  finish("a", "b");
  expect(run().phase).toBe("statistics");
}

describe("a run that waits for the sums of a lost device alone", () => {
  beforeEach(() => start());

  it("goes on without them after half an hour, and not before", () => {
    untilSumsOfC();
    pass(29, "a");
    expect(run().phase).toBe("statistics");
    pass(2, "a");
    expect(run().phase).toBe("assemble");
    expect(run().tasks.get("statistics-c") ?? run().tasks.get("statistics-d3")).toMatchObject({
      status: "givenUp",
      reason: expect.stringContaining("c was not heard of"),
    });
  });

  it("waits for one that sleeps for less, and counts anew from its last sign of life", () => {
    untilSumsOfC();
    pass(29, "a");
    c.do({ type: "requestOffer", deviceId: devices.c, capabilities: { kinds: [] } });
    pass(29, "a");
    finish("c");
    expect(givenUp()).toEqual([]);
    expect(run().phase).toBe("assemble");
  });

  it("does not count while somebody is at work, however long", () => {
    finish("a", "b", "c");
    finish("a");
    const offer = c.ask(devices.b);
    const lease = { deviceId: devices.b, leaseId: offer?.lease.leaseId ?? "" };
    for (let i = 0; i < 90; i++) {
      pass(1, "a");
      c.do({ type: "heartbeat", ...lease, report: { phase: "statistics", progress: 0.5 } });
    }
    expect(givenUp()).toEqual([]);
    c.complete(devices.b, lease.leaseId, "sums of b");
    pass(29, "a");
    expect(givenUp()).toEqual([]);
    pass(2, "a");
    expect(givenUp()).toHaveLength(1);
  });

  it("does not count while nobody at all is heard of, as when the network is gone, nor what was before", () => {
    untilSumsOfC();
    pass(3 * 60);
    expect(givenUp()).toEqual([]);
    pass(29, "a");
    expect(givenUp()).toEqual([]);
    pass(2, "a");
    expect(givenUp()).toHaveLength(1);
  });

  it("does not count while the coordinator is down", () => {
    untilSumsOfC();
    pass(20, "a");
    c.now += 3_600_000;
    c.restart();
    pass(29, "a");
    expect(givenUp()).toEqual([]);
    pass(2, "a");
    expect(givenUp()).toHaveLength(1);
  });

  it("goes on at once when the device is revoked", () => {
    untilSumsOfC();
    c.do({ type: "revokeDevice", deviceId: devices.c, reason: "lost" });
    c.wait(1);
    expect(run().phase).toBe("assemble");
  });

  it("keeps to the hard limit for one that is there and does nothing", () => {
    untilSumsOfC();
    for (let i = 0; i < 24 * 60 - 1; i++) {
      c.wait(minute);
      c.do({ type: "requestOffer", deviceId: devices.c, capabilities: { kinds: [] } });
    }
    expect(givenUp()).toEqual([]);
    pass(2);
    expect(givenUp()).toHaveLength(1);
  });
});

describe("a run whose parts others could do", () => {
  it("leaves them the time to be offered what a lost device leaves behind", () => {
    start({ lostAfterSeconds: minute }, {}, "the same samples");
    finish("a", "b");
    pass(2, "a");
    expect(givenUp()).toEqual([]);
    expect([...c.state.leases.values()]).toMatchObject([{ deviceId: devices.a, why: "substitute" }]);
  });

  it("gives up what neither its own device nor any other may do, such as what was refused from all", () => {
    start({}, { statistics: undefined });
    finish("a", "b");
    const offer = c.ask(devices.c);
    c.complete(devices.c, offer?.lease.leaseId ?? "", "broken", false);
    c.wait(1);
    // Others have such samples and may try.
    expect(givenUp()).toEqual([]);
    for (const name of ["a", "b"] as const) {
      const other = c.ask(devices[name]);
      c.complete(devices[name], other?.lease.leaseId ?? "", `broken by ${name}`, false);
    }
    c.wait(1);
    expect(givenUp()).toEqual(["train-d3"]);
    expect(run().phase).toBe("assemble");
  });
});

it("waits for a device in vain once, not in every phase", () => {
  // Nobody else holds enough to train its part.
  start({ minimumSampleShare: 2 });
  finish("a", "b");
  pass(29, "a", "b");
  expect(run().phase).toBe("train");
  c.wait(2 * minute);
  expect(givenUp()).toEqual(["train-d3"]);
  finish("a", "b");
  c.wait(1);
  expect(run().phase).toBe("assemble");
});

it("waits until the hard limit where nothing says when a device is lost, as in older logs", () => {
  start({ lostAfterSeconds: undefined });
  untilSumsOfC();
  pass(5 * 60, "a");
  expect(givenUp()).toEqual([]);
});

describe("a run that is told not to wait for a device", () => {
  const excuse = (device: string): unknown => c.try({ type: "excuseDevice", runId, deviceId: device, reason: "test" });

  it("goes on at once without what nobody else can do, and says why", () => {
    start();
    untilSumsOfC();
    c.do({ type: "excuseDevice", runId, deviceId: devices.c, reason: "test" });
    c.wait(1);
    expect(run().phase).toBe("assemble");
    expect(run().tasks.get("statistics-d3")).toMatchObject({ status: "givenUp", reason: expect.stringContaining("c was excused") });
  });

  it("offers its part to others at once, in this phase and the next, and gives none up that others could do", () => {
    start({}, {}, "same samples");
    finish("a", "b");
    expect(c.ask(devices.a)).toBeUndefined();
    c.do({ type: "excuseDevice", runId, deviceId: devices.c, reason: "test" });
    finish("a");
    expect(run().phase).toBe("statistics");
    finish("a", "b", "b");
    expect([run().phase, givenUp()]).toEqual(["assemble", []]);
  });

  it("lets it come back, and then waits for it as before", () => {
    start();
    finish("a", "b");
    c.do({ type: "excuseDevice", runId, deviceId: devices.c, reason: "test" });
    expect(run().excused.has(devices.c)).toBe(true);
    finish("c");
    expect(run().excused.size).toBe(0);
    finish("a", "b");
    pass(20, "a");
    expect([run().phase, givenUp()]).toEqual(["statistics", []]);
    c.restart();
    expect(run().excused.size).toBe(0);
  });

  it("refuses what makes no sense, and says the same twice", () => {
    start();
    const late = c.enrol("late", all);
    expect(excuse("nobody")).toMatchObject({ code: "notFound" });
    expect(excuse(late)).toMatchObject({ code: "conflict", message: expect.stringContaining("no part") });
    expect(c.try({ type: "excuseDevice", runId: "none", deviceId: devices.a, reason: "test" })).toMatchObject({ code: "notFound" });
    excuse(devices.a);
    const before = c.log.length;
    expect(excuse(devices.a)).toMatchObject({ ok: true });
    expect(c.log).toHaveLength(before);
    c.do({ type: "cancelRun", runId });
    expect(excuse(devices.a)).toMatchObject({ code: "conflict" });
  });
});
