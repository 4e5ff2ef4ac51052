/** What a command costs does not depend on the size of the fleet: counted in look-ups, not in time. */
import { Map as PersistentMap } from "immutable";
import { afterEach, expect, it, vi } from "vitest";
import { wokenBy } from "./liveService.ts";
import { definitionOf, TestCoordinator } from "./model.fixture.ts";
import { planRun } from "./planning.ts";
import type { Planner } from "./progress.ts";
import type { Run } from "./state.ts";

afterEach(() => vi.restoreAllMocks());

/** Look-ups in the state's maps that each command of a device took, in a fleet of so many of which half have finished. */
function lookUps(devices: number): Readonly<Record<string, number>> {
  const c = new TestCoordinator();
  c.do({ type: "createRun", definition: definitionOf({ statistics: undefined }, { minimumDevices: devices }) });
  const ids = Array.from({ length: devices }, (_, i) => c.enrol(`device-${String(i).padStart(4, "0")}`));
  const get = vi.spyOn(PersistentMap.prototype, "get");
  const counted = (action: () => unknown): number => {
    get.mockClear();
    action();
    return get.mock.calls.length;
  };
  const leases = ids.map((id) => c.ask(id)?.lease.leaseId ?? "");
  const complete = (i: number) => c.complete(ids[i] as string, leases[i] as string, `result ${i}`);
  for (let i = 0; i < devices / 2; i++) complete(i);
  const last = devices - 1;
  const idle = counted(() => expect(c.ask(ids[0] as string)).toBeUndefined());
  const beat = counted(() =>
    c.do({
      type: "heartbeat",
      deviceId: ids[last] as string,
      leaseId: leases[last] as string,
      report: { phase: "training", progress: 0.5 },
    }),
  );
  const completion = counted(() => expect(complete(last).accepted).toBe(true));
  // All others are silent; their tasks lie, and wait for their own devices first.
  c.wait(61);
  const idleBesideOpen = counted(() => expect(c.ask(ids[0] as string)).toBeUndefined());
  const own = counted(() => expect(c.ask(ids[last - 1] as string)).toMatchObject({ lease: { why: "own" } }));
  c.wait(121);
  const substitute = counted(() => expect(c.ask(ids[0] as string)).toMatchObject({ lease: { why: "substitute" } }));
  vi.restoreAllMocks();
  return { idle, beat, completion, idleBesideOpen, own, substitute };
}

it("looks up as much in a fleet of 30 as in one of 300", () => {
  const [small, large] = [lookUps(30), lookUps(300)];
  for (const [command, count] of Object.entries(large)) {
    // Of those who could do a task, a bounded number are compared.
    expect(count, command).toBeLessThan(command === "substitute" ? 1500 : (small[command] ?? 0) + 10);
  }
});

/** Look-ups in the state's maps that a tick takes, and who else comes for what was left, in a fleet of so many of which one in twenty is lost. */
function ticks(devices: number): Readonly<Record<string, number>> {
  const c = new TestCoordinator();
  const policy = { minimumDevices: devices, substituteAfterSeconds: 7200, lostAfterSeconds: 1800, giveUpAfterSeconds: 86_400 };
  c.do({ type: "createRun", definition: definitionOf({ statistics: undefined }, policy) });
  const ids = Array.from({ length: devices }, (_, i) => c.enrol(`device-${String(i).padStart(4, "0")}`));
  const leases = ids.map((id) => c.ask(id)?.lease.leaseId ?? "");
  const get = vi.spyOn(PersistentMap.prototype, "get");
  const tick = (seconds = 1): number => {
    get.mockClear();
    c.wait(seconds);
    return get.mock.calls.length;
  };
  const beat = (i: number): unknown =>
    c.do({ type: "heartbeat", deviceId: ids[i] as string, leaseId: leases[i] as string, report: { phase: "training", progress: 0.5 } });
  // The first looks at all.
  tick();
  const busy = tick();
  const beatAll = (): void => {
    for (const [i] of ids.entries()) if (i % 20 > 0) beat(i);
  };
  beatAll();
  tick(59);
  beatAll();
  tick();
  const left = devices / 20;
  expect(c.state.leases.size).toBe(devices - left);
  const besideOpen = tick();
  for (let i = 0; i < devices; i++) if (i % 20 > 0) c.complete(ids[i] as string, leases[i] as string, `result ${i}`);
  const run = (): Run | undefined => c.state.runs.first();
  expect(run()?.open.size).toBe(left);
  // Nobody is at work any more; now and then all that is left is looked at.
  tick();
  const quiet = Array.from({ length: 20 }, () => tick()).reduce((sum, count) => sum + count, 0) / left;
  vi.restoreAllMocks();
  return { busy, besideOpen, quiet };
}

it("looks up no more at each tick in a fleet of 1000 than in one of 100, and of a quiet run no more for each task that is left", () => {
  const [small, large] = [ticks(100), ticks(1000)];
  for (const [when, count] of Object.entries(large)) expect(count, when).toBeLessThan((small[when] ?? 0) + 10);
});

it("looks at each lease once in its period, however often it is renewed", () => {
  const leases = 200;
  const c = new TestCoordinator();
  c.do({ type: "createRun", definition: definitionOf({ statistics: undefined }, { minimumDevices: leases, stragglerFactor: 1000 }) });
  const ids = Array.from({ length: leases }, (_, i) => c.enrol(`device-${String(i).padStart(4, "0")}`));
  const held = ids.map((id) => c.ask(id)?.lease.leaseId ?? "");
  c.wait(1);
  const runs = vi.spyOn(PersistentMap.prototype, "get");
  let looked = 0;
  for (let second = 0; second < 120; second++) {
    for (const [i, leaseId] of held.entries())
      if (second % 15 === 0) c.do({ type: "heartbeat", deviceId: ids[i] as string, leaseId, report: { phase: "training", progress: 0 } });
    runs.mockClear();
    c.wait(1);
    looked += runs.mock.calls.length;
  }
  expect(c.state.leases.size).toBe(leases);
  // Twice as many look-ups as leases a look, and a few a second for the run itself.
  expect(looked).toBeLessThan(3 * 3 * leases + 120 * 10);
});

/** Elements of arrays that are gone through or spread while `action` runs. */
function elementsIn(action: () => unknown): number {
  const { [Symbol.iterator]: iterator } = Array.prototype;
  let elements = 0;
  Array.prototype[Symbol.iterator] = function (this: unknown[]) {
    elements += this.length;
    return iterator.call(this);
  };
  try {
    action();
  } finally {
    Array.prototype[Symbol.iterator] = iterator;
  }
  return elements;
}

it("admits a late device with as many look-ups and as little copied, among few and among many", () => {
  const costOf = (devices: number): { readonly lookUps: number; readonly elements: number } => {
    const c = new TestCoordinator(0, planRun);
    const definition = definitionOf({ statistics: undefined }, { minimumDevices: devices, admitLate: true });
    const planning = { ...definition.planning, statisticsPass: false, width: 0.5, classesPerDevice: 2 };
    c.do({ type: "createRun", definition: { ...definition, planning } });
    for (let i = 0; i < devices; i++) c.enrol(`device-${i}`, [10, 10, 10, 10]);
    expect(c.state.runs.first()?.slotOrder).toHaveProperty("size", devices);
    const spies = (["get", "has"] as const).map((name) => vi.spyOn(PersistentMap.prototype, name));
    const elements = elementsIn(() => c.enrol("late", [10, 10, 10, 10]));
    expect(c.state.runs.first()?.slotOrder.last()).toBe("late");
    const lookUps = spies.reduce((sum, spy) => sum + spy.mock.calls.length, 0);
    vi.restoreAllMocks();
    return { lookUps, elements };
  };
  const [few, many] = [costOf(20), costOf(200)];
  expect(many.lookUps).toBeLessThan(few.lookUps + 15);
  expect(many.elements).toBeLessThan(few.elements + 100);
});

it("tries a plan that was refused again for each device of a few, now and then for those of many, and soon after the last", () => {
  let tries = 0;
  const refusing: Planner = () => {
    tries++;
    return { type: "refused", reason: "There is no plan for them." };
  };
  const c = new TestCoordinator(0, refusing);
  c.do({ type: "createRun", definition: definitionOf({}, { minimumDevices: 1 }) });
  const enrolTo = (devices: number): void => {
    for (let i = c.state.devices.size; i < devices; i++) c.enrol(`device-${i}`);
  };
  enrolTo(16);
  expect(tries).toBe(16);
  enrolTo(2000);
  // A sixteenth more each time.
  expect(tries).toBeLessThan(16 + Math.log(2000 / 16) / Math.log(17 / 16) + 5);
  enrolTo(2001);
  const before = tries;
  c.wait(1);
  expect(tries).toBe(before);
  c.wait(2);
  expect(tries).toBe(before + 1);
  c.wait(60);
  expect(tries).toBe(before + 1);
});

it("wakes those who may do a part that is free again, and not all because another part lies there for anybody", () => {
  const c = new TestCoordinator();
  c.do({ type: "createRun", definition: definitionOf({ statistics: undefined }, { minimumDevices: 4 }) });
  const [ann = "", bob = "", cid = ""] = ["ann", "bob", "cid", "dot"].map((name) => c.enrol(name, [10, 10, 10, 10], name));
  const leases = [ann, bob, cid].map((id) => c.ask(id)?.lease.leaseId ?? "");
  const wokenSince = (sequence: number): readonly unknown[] => c.log.slice(sequence).map((event) => wokenBy(c.state, event));
  let before = c.log.length;
  c.do({ type: "revokeDevice", deviceId: ann, reason: "test" });
  expect(wokenSince(before)).toContain("all");
  expect(c.state.runs.first()?.orphaned.size).toBe(1);
  const fail = (deviceId: string, leaseId: string | undefined, retry: boolean): void => {
    before = c.log.length;
    c.do({ type: "fail", deviceId, leaseId: leaseId ?? "", code: "io", reason: "test", retry });
  };
  fail(bob, leases[1], true);
  expect(wokenSince(before)).toEqual([[bob]]);
  // Not to try again: now it is anybody's.
  fail(cid, leases[2], false);
  expect(wokenSince(before)).toEqual(["all"]);
});
