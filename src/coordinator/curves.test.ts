import { describe, expect, it } from "vitest";
import type { TaskProgress, WatchEvent } from "../protocol/operatorMessages.ts";
import { openCurves } from "./curves.ts";
import type { Lease, Run } from "./state.ts";

const run = {
  runId: "r",
  tasks: { get: (taskId: string) => (taskId.startsWith("train-") ? { kind: "train", slot: taskId.slice(6) } : undefined) },
} as unknown as Run;
const lease = (taskId: string): Lease => ({ leaseId: `l-${taskId}`, taskId, deviceId: "d" }) as unknown as Lease;
const progressOf = (event: WatchEvent | undefined): TaskProgress => event?.data as unknown as TaskProgress;

describe("curves", () => {
  it("tell a watcher who comes late all that was told, and one who is there each point once", () => {
    const curves = openCurves();
    const heard: WatchEvent[] = [];
    curves.report(run, lease("train-a"), { phase: "fetching", progress: 0 }, 1);
    const stop = curves.listen("r", (event) => heard.push(event));
    curves.report(run, lease("train-a"), { phase: "training", progress: 0.5, epoch: 1, step: 3, loss: 2, accuracy: 0.4 }, 2);
    curves.report(run, lease("train-a"), { phase: "training", progress: 0.6, epoch: 2, step: 4, loss: 1 }, 3);
    stop();
    curves.report(run, lease("train-b"), { phase: "training", progress: 0.1, loss: 5 }, 4);
    expect(heard.map((event) => progressOf(event).points)).toEqual([
      [{ at: 2, progress: 0.5, loss: 2, epoch: 1, step: 3, accuracy: 0.4 }],
      [{ at: 3, progress: 0.6, loss: 1, epoch: 2, step: 4 }],
    ]);
    const all = curves.of("r");
    expect(all.map((event) => progressOf(event).slot)).toEqual(["a", "b"]);
    expect(progressOf(all[0])).toMatchObject({ progress: 0.6, phase: "training", points: [{ at: 2 }, { at: 3 }] });
    expect(all.every(({ sequence }) => sequence === 0)).toBe(true);
    expect(curves.of("other")).toEqual([]);
  });

  it("stay small: a long curve is thinned and keeps its newest point, and leases beyond some hundreds are not kept", () => {
    const curves = openCurves();
    for (let step = 1; step <= 5001; step++) curves.report(run, lease("train-a"), { phase: "training", progress: 0, step, loss: 1 }, step);
    const points = progressOf(curves.of("r")[0]).points;
    expect(points.length).toBeGreaterThan(50);
    expect(points.length).toBeLessThanOrEqual(200);
    expect(points.at(-1)?.step).toBe(5001);
    for (let i = 0; i < 1000; i++) curves.report(run, lease(`train-${i}`), { phase: "training", progress: 0 }, i);
    expect(curves.of("r").length).toBe(500);
  });

  it("of a task that the run does not have are not kept", () => {
    const curves = openCurves();
    curves.report(run, lease("none"), { phase: "training", progress: 0 }, 1);
    expect(curves.of("r")).toEqual([]);
  });
});
