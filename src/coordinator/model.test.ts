/** Any interleaving of what devices, people, time and crashes do keeps the promises of the state machine. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Assignment } from "./commands.ts";
import type { FleetPolicy, RunWork } from "./events.ts";
import { foldAll } from "./fold.ts";
import { definitionOf, plain, resultsOf, settleWork, TestCoordinator } from "./model.fixture.ts";
import { candidates } from "./progress.ts";
import { isOver, type State } from "./state.ts";

const names = ["ann", "bob", "cid", "dan"] as const;
type Name = (typeof names)[number];

type Action =
  | { readonly type: "enrol" | "ask" | "beat" | "complete" | "repeat" | "poison" | "twin"; readonly name: Name }
  | { readonly type: "fail"; readonly name: Name; readonly retry: boolean }
  | { readonly type: "wait"; readonly seconds: number }
  | { readonly type: "restart"; readonly jumpSeconds: number }
  | { readonly type: "pause" | "resume" | "harvest" | "assemble" };

const nameOf = fc.constantFrom(...names);
const actionOf: fc.Arbitrary<Action> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ type: fc.constant("enrol"), name: nameOf }) },
  { weight: 8, arbitrary: fc.record({ type: fc.constantFrom("ask", "beat", "complete"), name: nameOf }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constantFrom("repeat", "poison", "twin"), name: nameOf }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("fail"), name: nameOf, retry: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("wait"), seconds: fc.constantFrom(1, 20, 70, 130, 500) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("restart"), jumpSeconds: fc.constantFrom(0, 0, 5, 4000, -4000) }) },
  { weight: 1, arbitrary: fc.constantFrom({ type: "pause" }, { type: "resume" }, { type: "harvest" }, { type: "assemble" }) },
) as fc.Arbitrary<Action>;

const workOf = fc.constantFrom<Partial<RunWork>>({}, settleWork("together", 1), settleWork("sequential", 1), { statistics: undefined });

/** What a device computes for a task: the same whoever does it and how often. */
const contentOf = ({ task }: Assignment): string => `result of ${task.taskId}`;

/** A fleet with what each device remembers of its own. */
class Fleet {
  readonly c: TestCoordinator = new TestCoordinator();
  readonly runId: string;
  readonly ids = new Map<Name, string>();
  readonly held = new Map<Name, Assignment>();
  readonly poisoned: string[] = [];
  readonly accepted = new Map<string, string>();

  constructor(work: Partial<RunWork>, policy: Partial<FleetPolicy> = {}) {
    this.runId = this.c.do({ type: "createRun", definition: definitionOf(work, { minimumDevices: 2, ...policy }) }).runId;
  }

  enrol(name: Name): void {
    const result = this.c.try({
      type: "enrol",
      publicKey: name,
      name,
      profile: { macsPerSecond: 1e9, memoryBytes: 1e9, bandwidthBitsPerSecond: 1e6 },
      data: {
        classNames: ["zero", "one", "two", "three"],
        counts: [10, 10, 10, 10],
        sampleShape: { channels: 1, height: 8, width: 8 },
        fingerprint: name,
      },
      software: "test",
    });
    if (result.ok) this.ids.set(name, result.reply.deviceId);
  }

  ask(name: Name): Assignment | undefined {
    const deviceId = this.ids.get(name);
    if (deviceId === undefined) return undefined;
    const result = this.c.try({ type: "requestOffer", deviceId, capabilities: { kinds: ["train", "statistics", "settle"] } });
    const assignment = result.ok ? result.reply.assignment : undefined;
    if (assignment) this.held.set(name, assignment);
    return assignment;
  }

  complete(name: Name, content: string, accepted = true): void {
    const assignment = this.held.get(name);
    if (!assignment) return;
    const { lease, task } = assignment;
    const outputs = [{ role: "parameters", sha256: content, bytes: 1 }];
    const submission = { deviceId: lease.deviceId, leaseId: lease.leaseId, outputs };
    const verdict = accepted ? { accepted } : { accepted, reason: "It is broken." };
    const measured = { seconds: 1, macs: 1, samples: 1 };
    const first = this.c.try({ type: "complete", ...submission, measured, verdict });
    const again = this.c.try({ type: "complete", ...submission, measured, verdict: { accepted: true } });
    expect(again).toEqual(first);
    if (first.ok && first.reply.accepted) {
      expect(this.accepted.get(task.taskId) ?? content).toBe(content);
      this.accepted.set(task.taskId, content);
    }
    if (!accepted) this.poisoned.push(content);
  }

  act(action: Action): void {
    const { c } = this;
    switch (action.type) {
      case "enrol":
        this.enrol(action.name);
        return;
      case "ask":
        this.ask(action.name);
        return;
      case "beat": {
        const lease = this.held.get(action.name)?.lease;
        if (lease)
          c.try({ type: "heartbeat", deviceId: lease.deviceId, leaseId: lease.leaseId, report: { phase: "training", progress: 0.5 } });
        return;
      }
      case "complete": {
        const held = this.held.get(action.name);
        if (held) this.complete(action.name, contentOf(held));
        return;
      }
      case "poison":
        this.complete(action.name, `poison by ${action.name} ${this.held.get(action.name)?.task.taskId}`, false);
        return;
      // The same request once more, long after; and two devices that answer for one lease.
      case "repeat": {
        const held = this.held.get(action.name);
        if (held && this.accepted.has(held.task.taskId)) this.complete(action.name, contentOf(held));
        return;
      }
      case "twin":
        this.ask(action.name);
        this.ask(action.name);
        return;
      case "fail": {
        const lease = this.held.get(action.name)?.lease;
        if (lease)
          c.try({ type: "fail", deviceId: lease.deviceId, leaseId: lease.leaseId, code: "data", reason: "No.", retry: action.retry });
        return;
      }
      case "wait":
        c.wait(action.seconds);
        return;
      case "restart":
        c.now = Math.max(0, c.now + 1000 * action.jumpSeconds);
        c.restart();
        return;
      case "pause":
      case "resume":
      case "harvest": {
        const type = ({ pause: "pauseRun", resume: "resumeRun", harvest: "requestHarvest" } as const)[action.type];
        c.try({ type, runId: this.runId });
        return;
      }
      case "assemble":
        c.assemble();
        return;
    }
  }

  /** From here on all devices answer, and nothing more goes wrong. */
  finish(): void {
    const { c, runId } = this;
    c.try({ type: "resumeRun", runId });
    for (const name of names) this.enrol(name);
    for (let turn = 0; turn < 3000; turn++) {
      const run = c.state.runs.get(runId);
      if (!run || isOver(run)) return;
      for (const name of names) if (this.ask(name)) this.act({ type: "complete", name });
      c.assemble();
      c.wait(30);
    }
    throw new Error(`The run has not come to its end: ${JSON.stringify(c.state.runs.get(runId))}`);
  }
}

function checkInvariants({ c, runId, poisoned }: Fleet): void {
  const { state } = c;
  const run = state.runs.get(runId);
  if (!run) throw new Error("no run");
  const tasks = [...run.tasks.values()];
  expect(run.remaining).toBe(tasks.filter(({ status }) => status === "open").length);
  expect([...run.open].map(([, taskId]) => taskId).sort()).toEqual(
    tasks
      .filter(({ status, leases }) => status === "open" && leases.length === 0)
      .map(({ taskId }) => taskId)
      .sort(),
  );
  // A live lease is of an open task of a run that goes on; a device has one at most, and a task a second one only for a reason.
  const leases = [...state.leases.values()];
  expect(new Set(leases.map(({ deviceId }) => deviceId)).size).toBe(leases.length);
  expect(leases.map(({ leaseId }) => leaseId).sort()).toEqual(tasks.flatMap((task) => task.leases).sort());
  for (const task of tasks) {
    const live = task.leases.map((leaseId) => state.leases.get(leaseId));
    if (live.length > 0) expect([task.status, run.paused, isOver(run)]).toEqual(["open", false, false]);
    expect(live.length).toBeLessThanOrEqual(2);
    if (live.length === 2) expect(["straggler", "returned"]).toContain(live[1]?.why);
    expect(task.status === "done").toBe(task.result !== undefined);
    for (const { sha256 } of task.result?.outputs ?? []) expect(poisoned).not.toContain(sha256);
  }
  // What is kept beside tasks and leases so that nobody need look through all of them.
  const alone = tasks.flatMap((task) => (task.leases.length === 1 ? task.leases : []));
  expect([...state.overdue].map(([, leaseId]) => leaseId).sort()).toEqual(alone.sort());
  for (const [at, taskId] of run.open) expect(at).toBe(run.tasks.get(taskId)?.openedAt);
  const orphans = tasks.filter(({ status, leases, slot, faults }) => {
    const owner = state.devices.get(run.slots.get(slot)?.deviceId ?? "");
    const isLost = owner?.revokedAt !== undefined || faults.get(owner?.deviceId ?? "")?.until === Number.POSITIVE_INFINITY;
    return status === "open" && leases.length === 0 && isLost;
  });
  expect([...run.orphaned].map(([, taskId]) => taskId).sort()).toEqual(orphans.map(({ taskId }) => taskId).sort());
  expect(run.gathered?.devices).toBe(run.phase === "gathering" ? candidates(run.definition, state.devices.values()).length : undefined);
  const completed = c.log.flatMap((event) => (event.type === "lease.completed" ? [event.taskId] : []));
  expect(new Set(completed).size).toBe(completed.length);
}

const runs = Number(process.env.SHEAF_MODEL_RUNS ?? 150);

describe("any interleaving", () => {
  it("keeps the invariants, lives in the log alone, and lets the run come to its end", () => {
    fc.assert(
      fc.property(workOf, fc.array(actionOf, { maxLength: 60 }), (work, actions) => {
        const fleet = new Fleet(work);
        for (const action of actions) {
          fleet.act(action);
          checkInvariants(fleet);
        }
        expect(plain(foldAll(fleet.c.log))).toEqual(plain(fleet.c.state));
        fleet.finish();
        checkInvariants(fleet);
        expect(plain(foldAll(fleet.c.log))).toEqual(plain(fleet.c.state));
        expect(["finished", "failed"]).toContain(fleet.c.state.runs.get(fleet.runId)?.phase);
      }),
      { numRuns: runs },
    );
  }, 60_000);

  it("ends in the same accepted results and the same model where every task is done", () => {
    const undisturbed = (work: Partial<RunWork>): State => {
      const fleet = new Fleet(work, { minimumDevices: names.length, giveUpAfterSeconds: 1e7 });
      fleet.finish();
      return fleet.c.state;
    };
    fc.assert(
      fc.property(workOf, fc.array(actionOf.filter(isHarmless), { maxLength: 60 }), (work, actions) => {
        const fleet = new Fleet(work, { minimumDevices: names.length, giveUpAfterSeconds: 1e7, maximumAttempts: 1000 });
        for (const action of actions) fleet.act(action);
        fleet.finish();
        const calm = undisturbed(work);
        const [calmRun] = calm.runs.keys();
        expect(resultsOf(fleet.c.state, fleet.runId)).toBe(resultsOf(calm, calmRun as string));
        expect(fleet.c.state.runs.get(fleet.runId)?.outputs).toEqual(calm.runs.get(calmRun as string)?.outputs);
      }),
      { numRuns: runs },
    );
  }, 60_000);

  it("of results in any order gives the same set of them", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([...names], { minLength: 4 }), (order) => {
        const fleet = new Fleet({}, { minimumDevices: names.length });
        for (const name of names) fleet.enrol(name);
        for (const name of names) fleet.ask(name);
        for (const name of order) fleet.act({ type: "complete", name });
        expect(resultsOf(fleet.c.state, fleet.runId)).toBe(names.map((_, i) => `train-d${i + 1}=result of train-d${i + 1}`).join(" "));
      }),
    );
  });
});

/** What does not take a device from a task for good. */
function isHarmless({ type }: Action): boolean {
  return type !== "poison" && type !== "fail" && type !== "pause";
}
