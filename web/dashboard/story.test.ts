import { describe, expect, it } from "vitest";
import type { DeviceSummary, RunDetail, WatchEvent } from "../../src/protocol/operatorMessages.ts";
import { bytesMoved, compute, coverage, curves, placeState, type Sources, spread, timeline } from "./figures.ts";
import { newStory, type Story, tell } from "./story.ts";
import { isTrouble, wordsOf } from "./words.ts";

const place = (slot: string, taskSet: readonly number[]) => ({
  slot,
  deviceId: `id-${slot}`,
  taskSet,
  widths: 0.5,
  size: 0.5,
  ownSamples: 30,
  backgroundSamples: 10,
  macs: { train: 80, statistics: 20, settle: 0 },
  memoryBytes: 1,
  bytesDown: 100,
  bytesUp: 50,
  ratio: 4,
});
const task = (kind: string, slot: string) => ({ taskId: `${kind}-${slot}`, kind, slot });
const lease = (leaseId: string, slot: string, by = slot) => ({
  leaseId,
  taskId: `train-${slot}`,
  deviceId: `id-${by}`,
  why: "own",
  expectedSeconds: 1,
});
const done = (leaseId: string, slot: string, by = slot) => ({
  leaseId,
  taskId: `train-${slot}`,
  deviceId: `id-${by}`,
  outputs: [{ role: "parameters", sha256: "a".repeat(64), bytes: 70 }],
  measured: { seconds: 2, macs: 40, samples: 40 },
  evaluation: { own: 0.75 },
});

/** Events a second apart. */
function storyOf(...events: readonly (readonly [type: string, data: Readonly<Record<string, unknown>>])[]): Story {
  return events.reduce<Story>((story, [type, data], i) => tell(story, { sequence: i + 1, at: 1000 * (i + 1), type, data }), newStory());
}
const planned = [
  ["run.created", {}],
  ["plan.made", { slots: [place("ann", [0, 1]), place("bob", [2])], missingClasses: [], excluded: [] }],
  ["phase.started", { phase: "train", tasks: [task("train", "ann"), task("train", "bob")] }],
] as const;

const devices = ["ann", "bob"].map((name) => ({ deviceId: `id-${name}`, name })) as unknown as readonly DeviceSummary[];
const runOf = (...states: readonly [status: string, progress: number][]): RunDetail =>
  ({
    classNames: ["a", "b", "c"],
    config: { training: { epochs: 10 } },
    taskList: states.map(([status, progress], i) => ({
      ...task("train", ["ann", "bob"][i] as string),
      device: ["ann", "bob"][i],
      status,
      progress,
      workers: [],
    })),
  }) as unknown as RunDetail;
const sources = (story: Story, run: RunDetail = runOf(["leased", 0.5], ["pending", 0])): Sources => ({ run, story, devices, now: 20_000 });

describe("a run's story", () => {
  it("has leases from their beginning to their end, and says which led to nothing", () => {
    const story = storyOf(
      ...planned,
      ["offer.leased", lease("l1", "ann")],
      ["offer.leased", lease("l2", "bob")],
      ["lease.expired", { leaseId: "l1", reason: "silent" }],
      ["offer.leased", lease("l3", "ann", "bob")],
      ["lease.completed", done("l2", "bob")],
    );
    expect([...story.leases.values()].map(({ leaseId, from, to, lost }) => [leaseId, from, to, lost])).toEqual([
      ["l1", 4000, 6000, "nothing more was heard of it"],
      ["l2", 5000, 8000, undefined],
      ["l3", 7000, undefined, undefined],
    ]);
    expect(timeline(sources(story))).toEqual([
      { id: "ann", timeline: [{ kind: "train", startSeconds: 0, endSeconds: 2, lost: "nothing more was heard of it" }] },
      {
        id: "bob",
        timeline: [
          { kind: "train", startSeconds: 1, endSeconds: 4 },
          // It lasts until now.
          { kind: "train", startSeconds: 3, endSeconds: 16 },
        ],
      },
    ]);
  });

  it("ends the lease of a device that came second, and all where a run is paused or cancelled", () => {
    const two = [...planned, ["offer.leased", lease("l1", "ann")], ["offer.leased", lease("l2", "ann", "bob")]] as const;
    const second = storyOf(...two, ["lease.completed", done("l2", "ann", "bob")]);
    expect([...second.leases.values()].map(({ lost }) => lost)).toEqual(["another device was first", undefined]);
    expect([...storyOf(...two, ["run.paused", {}]).leases.values()].every(({ to, lost }) => to === 6000 && lost !== undefined)).toBe(true);
    const cancelled = storyOf(...two, ["run.cancelled", {}]);
    expect(cancelled.endedAt).toBe(6000);
    expect([...cancelled.leases.values()].every(({ lost }) => lost === "the run was cancelled")).toBe(true);
  });

  it("takes a lapsed lease up again, and goes on after a failure", () => {
    const story = storyOf(
      ...planned,
      ["offer.leased", lease("l1", "ann")],
      ["lease.expired", { leaseId: "l1", reason: "stuck" }],
      ["lease.renewed", { leaseId: "l1" }],
    );
    expect(story.leases.get("l1")).toMatchObject({ from: 4000 });
    expect(story.leases.get("l1")?.to).toBeUndefined();
    expect(storyOf(["run.failed", { reason: "no" }], ["run.resumed", {}]).endedAt).toBeUndefined();
  });

  it("joins what devices tell of a lease, also when it is told again, and keeps it out of the events", () => {
    const progressOf = (leaseId: string, ...steps: readonly number[]): WatchEvent => ({
      sequence: 0,
      at: 1,
      type: "task.progress",
      data: {
        ...task("train", "ann"),
        leaseId,
        deviceId: "id-ann",
        phase: "training",
        progress: 0.1,
        points: steps.map((step) => ({ at: step, progress: step / 10, loss: 1 / step, accuracy: 0.1 * step })),
      },
    });
    let story = storyOf(...planned);
    for (const event of [progressOf("l1", 1, 2), progressOf("l1", 3), progressOf("l1", 1, 2, 3, 4)]) story = tell(story, event);
    expect(curves(sources(story))).toEqual([
      {
        id: "train-ann id-ann",
        label: "ann",
        points: [1, 2, 3, 4].map((step) => ({ epoch: step, loss: 1 / step, accuracy: expect.closeTo(0.1 * step) })),
      },
    ]);
    expect(story.log).toHaveLength(3);
    // Another lease of the same device went on from where step 3 had been written down.
    const [resumed, ...others] = curves(sources(tell(story, progressOf("l2", 3, 4, 5))));
    expect(others).toEqual([]);
    expect(resumed?.points.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4, 5]);
  });

  it("is not harmed by an event that it does not know, or that says too little", () => {
    const story = storyOf(["moon.risen", {}], ["plan.made", {}], ["lease.completed", { taskId: 3 }]);
    expect(story.log).toHaveLength(3);
    expect(story.places.size).toBe(0);
  });
});

describe("figures", () => {
  it("show how far each place of the plan is", () => {
    const story = storyOf(...planned);
    expect(coverage(sources(story))).toEqual([
      { id: "ann", profile: "ann", taskSet: [0, 1], widths: [0.5], status: "working", progress: 0.5, state: "training 50\u00a0%" },
      { id: "bob", profile: "bob", taskSet: [2], widths: [0.5], status: "waiting", progress: 0, state: "waiting" },
    ]);
    expect(placeState(sources(story, runOf(["done", 1], ["failed", 0])), "bob")).toBe("given up");
  });

  it("count what was computed and moved where it is known, and what was planned elsewhere", () => {
    const story = storyOf(...planned, ["offer.leased", lease("l1", "ann")], ["lease.completed", done("l1", "ann")]);
    // 4 x (80 + 20) for the full target; 40 measured and 20 planned against 100 planned.
    expect(compute(sources(story)).map(({ id, ratio, fullTargetMacs }) => [id, ratio, fullTargetMacs])).toEqual([
      ["ann", expect.closeTo(400 / 60), 400],
      ["bob", 4, 400],
    ]);
    expect(bytesMoved(sources(story))[0]).toEqual({ id: "ann", bytesDown: 100, bytesUp: 50 });
    const finished = tell(story, { sequence: 9, at: 9000, type: "run.finished", data: { outputs: [], missingClasses: [] } });
    expect(bytesMoved(sources(finished)).map(({ bytesUp }) => bytesUp)).toEqual([70, 50]);
  });

  it("have the middle of ratios", () => {
    expect(spread([])).toBeUndefined();
    expect(spread([3])).toEqual({ min: 3, median: 3, max: 3 });
    expect(spread([4, 1, 2])).toEqual({ min: 1, median: 2, max: 4 });
    expect(spread([4, 1, 2, 3])).toEqual({ min: 1, median: 2.5, max: 4 });
  });
});

describe("words", () => {
  it("name devices and tasks", () => {
    const story = storyOf(
      ...planned,
      ["offer.leased", lease("l1", "ann")],
      ["lease.expired", { leaseId: "l1", reason: "silent" }],
      ["lease.completed", done("l1", "ann")],
    );
    const names = { device: (id: string) => id.replace("id-", ""), task: (leaseId: string) => story.leases.get(leaseId) };
    expect(story.log.slice(3).map((event) => wordsOf(event, names))).toEqual([
      "ann works on train-ann",
      "ann has lost train-ann: nothing more was heard of it",
      "ann has done train-ann (own classes 75.0\u00a0%)",
    ]);
    expect(story.log.map(({ type }) => isTrouble(type))).toEqual([false, false, false, false, true, false]);
  });
});
