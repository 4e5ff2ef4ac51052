/** From a run's summary, its story and what was measured to what the report's charts draw. Pure. */
import type { FleetEvaluation } from "../../src/protocol/evaluation.ts";
import type { DeviceSummary, RunDetail, TaskProgress, TaskSummary } from "../../src/protocol/operatorMessages.ts";
import type { PlannedDevice } from "../../src/report/charts/planChart.ts";
import type { SettlePoint } from "../../src/report/charts/settleChart.ts";
import type { Segment } from "../../src/report/charts/timelineChart.ts";
import type { CurveSeries, DeviceReport, HeadId, HeadReport } from "../../src/report/reportData.ts";
import type { LeaseSpan, Place, Story } from "./story.ts";

/** What all figures are made of. */
export interface Sources {
  readonly run: RunDetail;
  readonly story: Story;
  readonly devices: readonly DeviceSummary[];
  /** Milliseconds since 1970 by the coordinator's clock. */
  readonly now: number;
}

const nameOf = (devices: readonly DeviceSummary[], deviceId: string): string =>
  devices.find((device) => device.deviceId === deviceId)?.name ?? deviceId;

/** The task that a device of the plan is at: the first that is not over, else the last. */
function presentTask({ run, story }: Sources, slot: string): TaskSummary | undefined {
  const order = { train: 0, settle: 1, statistics: 2 } as const;
  const passOf = ({ taskId }: TaskSummary): number => story.tasks.get(taskId)?.pass ?? 0;
  const own = run.taskList.filter(({ device }) => device === slot).sort((a, b) => order[a.kind] - order[b.kind] || passOf(a) - passOf(b));
  return own.find(({ status }) => status === "pending" || status === "leased") ?? own.at(-1);
}

const doing = { train: "training", settle: "settling", statistics: "summing" } as const;

/** How a device of the plan is doing, in a word or two. */
export function placeState(sources: Sources, slot: string): string {
  const task = presentTask(sources, slot);
  if (!task) return "planned";
  if (task.status === "done") return "done";
  if (task.status === "failed") return "given up";
  if (task.status === "pending") return "waiting";
  return `${doing[task.kind]} ${Math.floor(100 * task.progress)}\u00a0%`;
}

/** Classes by devices, with how far each is. */
export function coverage(sources: Sources): readonly PlannedDevice[] {
  const { run, story, devices } = sources;
  return [...story.places.values()].map(({ slot, deviceId, taskSet, widths }) => {
    const trained = run.taskList.find(({ device, kind }) => device === slot && kind === "train");
    const status = { done: "harvested", failed: "lost", leased: "working", pending: "waiting" } as const;
    return {
      id: slot,
      profile: nameOf(devices, deviceId),
      taskSet,
      widths: typeof widths === "number" ? [widths] : Object.values(widths),
      status: trained ? status[trained.status] : "waiting",
      progress: trained?.progress ?? 0,
      state: placeState(sources, slot),
    };
  });
}

/** What a device told of a task, whatever number of leases it took: one that went on from a checkpoint takes up the curve where it had been. */
function toldOf({ progress }: Story): readonly TaskProgress[] {
  const told = new Map<string, TaskProgress>();
  for (const each of progress.values()) {
    const [first] = each.points;
    if (!first) continue;
    const key = `${each.taskId} ${each.deviceId}`;
    const before = told.get(key)?.points.filter((point) => point.progress < first.progress) ?? [];
    told.set(key, { ...each, points: [...before, ...each.points] });
  }
  return [...told.values()];
}

/** Learning curves as devices tell them; a settle pass is a curve of its own, and what another device does in a place of the plan. */
export function curves({ run, story, devices }: Sources): readonly CurveSeries[] {
  const epochsOf = (key: string): number => {
    const part = (run.config as Readonly<Record<string, { readonly epochs?: unknown } | undefined>>)[key];
    return typeof part?.epochs === "number" ? part.epochs : 1;
  };
  return toldOf(story).map(({ taskId, deviceId, kind, slot, points }) => {
    const epochs = epochsOf(kind === "settle" ? "settle" : "training");
    const pass = story.tasks.get(taskId)?.pass;
    const own = story.places.get(slot)?.deviceId === deviceId;
    return {
      id: `${taskId} ${deviceId}`,
      label: [slot, ...(pass === undefined ? [] : [`pass ${pass}`]), ...(own ? [] : [`by ${nameOf(devices, deviceId)}`])].join(", "),
      points: points.map(({ progress, loss, accuracy }) => ({
        epoch: progress * epochs,
        loss,
        ...(accuracy === undefined ? {} : { accuracy }),
      })),
    };
  });
}

/** Who worked from when to when, a row per device; the clock begins with the first lease. */
export function timeline({ story, devices, now }: Sources): readonly { readonly id: string; readonly timeline: readonly Segment[] }[] {
  const leases = [...story.leases.values()];
  const start = Math.min(...leases.map(({ from }) => from));
  const seconds = (at: number): number => Math.max(0, at - start) / 1000;
  const segment = ({ taskId, from, to, lost }: LeaseSpan): Segment => ({
    kind: story.tasks.get(taskId)?.kind ?? "train",
    startSeconds: seconds(from),
    endSeconds: Math.max(seconds(from), seconds(to ?? story.endedAt ?? now)),
    ...(lost === undefined ? {} : { lost }),
  });
  const rows = new Map<string, LeaseSpan[]>();
  for (const lease of leases) rows.set(lease.deviceId, [...(rows.get(lease.deviceId) ?? []), lease]);
  return [...rows]
    .map(([deviceId, own]) => ({ id: nameOf(devices, deviceId), timeline: own.map(segment) }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Multiply-adds of a place's tasks of one kind: measured where they are done, else as planned. */
function macsOf(story: Story, place: Place, kind: "train" | "statistics" | "settle"): number {
  const tasks = [...story.tasks.values()].filter((task) => task.slot === place.slot && task.kind === kind);
  const results = tasks.flatMap(({ taskId }) => story.results.get(taskId) ?? []);
  return tasks.length > 0 && results.length === tasks.length && results.every(({ macs }) => macs > 0)
    ? results.reduce((sum, { macs }) => sum + macs, 0)
    : place.macs[kind];
}

/** How many times less each device of the plan computes than training the target on its samples would take. */
export function compute({ story }: Sources): readonly Pick<DeviceReport, "id" | "ratio" | "compute" | "fullTargetMacs">[] {
  return [...story.places.values()].map((place) => {
    const fullTargetMacs = place.ratio * (place.macs.train + place.macs.statistics + place.macs.settle);
    const train = macsOf(story, place, "train");
    const ownShare = place.ownSamples / Math.max(1, place.ownSamples + place.backgroundSamples);
    const macs = {
      trainOwnMacs: train * ownShare,
      trainBackgroundMacs: train * (1 - ownShare),
      statisticsMacs: macsOf(story, place, "statistics"),
      settleMacs: macsOf(story, place, "settle"),
    };
    const total = train + macs.statisticsMacs + macs.settleMacs;
    return { id: place.slot, ratio: total > 0 ? fullTargetMacs / total : 0, compute: macs, fullTargetMacs };
  });
}

/** Smallest, middle and largest of some ratios; undefined of none. */
export function spread(ratios: readonly number[]): { readonly min: number; readonly median: number; readonly max: number } | undefined {
  const sorted = [...ratios].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (low === undefined || high === undefined || min === undefined || max === undefined) return undefined;
  return { min, median: (low + high) / 2, max };
}

/** What moves between each device of the plan and the coordinator: as planned, and upwards as it was where all is done. */
export function bytesMoved({ story }: Sources): readonly Pick<DeviceReport, "id" | "bytesDown" | "bytesUp">[] {
  return [...story.places.values()].map(({ slot, bytesDown, bytesUp }) => {
    const tasks = [...story.tasks.values()].filter((task) => task.slot === slot);
    const results = tasks.flatMap(({ taskId }) => story.results.get(taskId) ?? []);
    const done = story.endedAt !== undefined && results.length === tasks.length && tasks.length > 0;
    return { id: slot, bytesDown, bytesUp: done ? results.reduce((sum, each) => sum + each.bytesUp, 0) : bytesUp };
  });
}

/** The heads of a model, as the report's charts take them. */
export function headReports({ heads }: FleetEvaluation): readonly HeadReport[] {
  return heads.map(({ head, accuracy, perClass, confusion }) => ({
    id: head as HeadId,
    label: head,
    accuracy,
    perClassAccuracy: perClass,
    confusion,
    parameters: 0,
  }));
}

export function settlePoints({ settlePasses = [] }: FleetEvaluation): readonly SettlePoint[] {
  return settlePasses.map(({ pass, H0 }) => ({ pass, H0 }));
}
