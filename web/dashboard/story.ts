/**
 * What has happened in a run, read from its events: places, leases, results, phases. A fold; no clock, no network, no page. A story owns its maps, which
 * are changed in place, so that a long run is read in linear time; the story itself is a new object after each event.
 */
import { z } from "zod";
import type { TaskProgress, WatchEvent } from "../../src/protocol/operatorMessages.ts";
import { type TaskKind, taskKinds } from "../../src/protocol/tasks.ts";

export interface StoredObject {
  readonly role: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** A device's place in the plan. */
export interface Place {
  readonly slot: string;
  readonly deviceId: string;
  readonly taskSet: readonly number[];
  /** Of all layers, or by layer. */
  readonly widths: number | Readonly<Record<string, number>>;
  readonly ownSamples: number;
  readonly backgroundSamples: number;
  readonly macs: { readonly train: number; readonly statistics: number; readonly settle: number };
  readonly memoryBytes: number;
  readonly bytesDown: number;
  readonly bytesUp: number;
  readonly ratio: number;
}

export interface TaskOf {
  readonly taskId: string;
  readonly kind: TaskKind;
  readonly slot: string;
  readonly pass?: number | undefined;
}

const object: z.ZodType<StoredObject> = z.object({ role: z.string(), sha256: z.string(), bytes: z.number() });
const slot: z.ZodType<Place> = z.object({
  slot: z.string(),
  deviceId: z.string(),
  taskSet: z.array(z.number()),
  widths: z.union([z.number(), z.record(z.string(), z.number())]),
  ownSamples: z.number(),
  backgroundSamples: z.number(),
  macs: z.object({ train: z.number(), statistics: z.number(), settle: z.number() }),
  memoryBytes: z.number(),
  bytesDown: z.number(),
  bytesUp: z.number(),
  ratio: z.number(),
});
const task: z.ZodType<TaskOf> = z.object({ taskId: z.string(), kind: z.enum(taskKinds), slot: z.string(), pass: z.number().optional() });

/** A device at work on a task, from when to when. */
export interface LeaseSpan {
  readonly leaseId: string;
  readonly taskId: string;
  readonly deviceId: string;
  readonly why: string;
  readonly from: number;
  readonly to?: number;
  /** Why it led to nothing; absent while it lasts and where its result counts. */
  readonly lost?: string;
}

export interface TaskResult {
  readonly deviceId: string;
  readonly at: number;
  readonly seconds: number;
  readonly macs: number;
  readonly bytesUp: number;
  /** Accuracy on its own classes, where the coordinator tried it. */
  readonly own?: number;
}

/** A model from what was there when somebody asked. */
export interface HarvestStory {
  readonly harvestId: string;
  readonly at: number;
  readonly slots: readonly string[];
  readonly missingClasses: readonly number[];
  readonly outputs: readonly StoredObject[];
  readonly head?: string;
  readonly reason?: string;
}

export interface Story {
  readonly createdAt?: number;
  /** When nothing happens any more. */
  readonly endedAt?: number;
  /** In the order of the plan. */
  readonly places: ReadonlyMap<string, Place>;
  readonly tasks: ReadonlyMap<string, TaskOf>;
  /** In the order in which they were given. */
  readonly leases: ReadonlyMap<string, LeaseSpan>;
  readonly results: ReadonlyMap<string, TaskResult>;
  /** By lease. */
  readonly progress: ReadonlyMap<string, TaskProgress>;
  readonly harvests: ReadonlyMap<string, HarvestStory>;
  readonly outputs: readonly StoredObject[];
  readonly missingClasses: readonly number[];
  /** The newest last. */
  readonly log: readonly WatchEvent[];
}

/** A story in which nothing has happened yet. */
export function newStory(): Story {
  return {
    places: new Map(),
    tasks: new Map(),
    leases: new Map(),
    results: new Map(),
    progress: new Map(),
    harvests: new Map(),
    outputs: [],
    missingClasses: [],
    log: [],
  };
}

/** Events that are kept to be shown. */
const logLength = 500;
/** Points of a curve that are kept. */
const mostPoints = 400;

type Tell = (story: Story, data: WatchEvent["data"], at: number) => Story;
const on =
  <S extends z.ZodType>(schema: S, tell: (story: Story, data: z.infer<S>, at: number) => Story): Tell =>
  (story, data, at) => {
    // An event of a later release that says less than expected changes nothing here.
    const read = schema.safeParse(data);
    return read.success ? tell(story, read.data, at) : story;
  };

function withAll<K, V>(map: ReadonlyMap<K, V>, entries: readonly (readonly [K, V])[]): ReadonlyMap<K, V> {
  for (const [key, value] of entries) (map as Map<K, V>).set(key, value);
  return map;
}
const withTasks = (story: Story, tasks: readonly TaskOf[]): Story => ({
  ...story,
  tasks: withAll(
    story.tasks,
    tasks.map((each) => [each.taskId, each]),
  ),
});

/** Ends leases that last, those of `which`. */
function endLeases(story: Story, at: number, lost: string | undefined, which: (lease: LeaseSpan) => boolean): Story {
  const ended = [...story.leases.values()].filter((lease) => lease.to === undefined && which(lease));
  if (ended.length === 0) return story;
  return {
    ...story,
    leases: withAll(
      story.leases,
      ended.map((lease) => [lease.leaseId, { ...lease, to: at, ...(lost === undefined ? {} : { lost }) }]),
    ),
  };
}

const anything: z.ZodType<object> = z.looseObject({});
const over = (words: string): Tell => on(anything, (story, _, at) => ({ ...endLeases(story, at, words, () => true), endedAt: at }));

const telling: Readonly<Record<string, Tell>> = {
  "run.created": on(anything, (story, _, at) => ({ ...story, createdAt: at })),
  "run.finished": on(
    z.object({ outputs: z.array(object), missingClasses: z.array(z.number()) }),
    (story, { outputs, missingClasses }, at) => ({
      ...story,
      outputs,
      missingClasses,
      endedAt: at,
    }),
  ),
  "run.cancelled": over("the run was cancelled"),
  "run.failed": over("the run failed"),
  "run.paused": on(anything, (story, _, at) => endLeases(story, at, "the run was paused", () => true)),
  "run.resumed": on(anything, ({ endedAt: _, ...story }) => story),
  "plan.made": on(z.object({ slots: z.array(slot) }), (story, { slots }) => ({
    ...story,
    places: new Map(slots.map((each) => [each.slot, each])),
  })),
  "plan.extended": on(z.object({ slots: z.array(slot), tasks: z.array(task) }), (story, { slots, tasks }) =>
    withTasks(
      {
        ...story,
        places: withAll(
          story.places,
          slots.map((each) => [each.slot, each]),
        ),
      },
      tasks,
    ),
  ),
  "phase.started": on(z.object({ tasks: z.array(task) }), (story, { tasks }) => withTasks(story, tasks)),
  "offer.leased": on(z.object({ leaseId: z.string(), taskId: z.string(), deviceId: z.string(), why: z.string() }), (story, lease, at) => ({
    ...story,
    leases: withAll(story.leases, [[lease.leaseId, { ...lease, from: at }]]),
  })),
  "lease.renewed": on(z.object({ leaseId: z.string() }), (story, { leaseId }) => {
    const lease = story.leases.get(leaseId);
    if (!lease) return story;
    const { to: _, lost: __, ...lasting } = lease;
    return { ...story, leases: withAll(story.leases, [[leaseId, lasting]]) };
  }),
  "lease.expired": on(z.object({ leaseId: z.string(), reason: z.string() }), (story, { leaseId, reason }, at) =>
    endLeases(story, at, reason === "silent" ? "nothing more was heard of it" : "it did not get on", (lease) => lease.leaseId === leaseId),
  ),
  "lease.failed": on(z.object({ leaseId: z.string(), reason: z.string() }), (story, { leaseId, reason }, at) =>
    endLeases(story, at, reason, (lease) => lease.leaseId === leaseId),
  ),
  "upload.quarantined": on(z.object({ leaseId: z.string(), reason: z.string() }), (story, { leaseId, reason }, at) =>
    endLeases(story, at, `refused: ${reason}`, (lease) => lease.leaseId === leaseId),
  ),
  "lease.completed": on(
    z.object({
      taskId: z.string(),
      leaseId: z.string(),
      deviceId: z.string(),
      outputs: z.array(object),
      measured: z.object({ seconds: z.number(), macs: z.number() }),
      evaluation: z.record(z.string(), z.number()).optional(),
    }),
    (story, { taskId, leaseId, deviceId, outputs, measured, evaluation }, at) => {
      const own = evaluation?.own;
      const result = {
        deviceId,
        at,
        seconds: measured.seconds,
        macs: measured.macs,
        bytesUp: outputs.reduce((sum, { bytes }) => sum + bytes, 0),
        ...(own === undefined ? {} : { own }),
      };
      const done = endLeases(
        { ...story, results: withAll(story.results, [[taskId, result]]) },
        at,
        undefined,
        (lease) => lease.leaseId === leaseId,
      );
      return endLeases(done, at, "another device was first", (lease) => lease.taskId === taskId);
    },
  ),
  "task.givenUp": on(z.object({ taskId: z.string() }), (story, { taskId }, at) =>
    endLeases(story, at, "the task was given up", (lease) => lease.taskId === taskId),
  ),
  "harvest.requested": on(
    z.object({ harvestId: z.string(), slots: z.array(z.string()), missingClasses: z.array(z.number()) }),
    (story, { harvestId, slots, missingClasses }, at) => ({
      ...story,
      harvests: withAll(story.harvests, [[harvestId, { harvestId, at, slots, missingClasses, outputs: [] }]]),
    }),
  ),
  "harvest.made": on(
    z.object({ harvestId: z.string(), outputs: z.array(object), head: z.string() }),
    (story, { harvestId, outputs, head }) => {
      const asked = story.harvests.get(harvestId);
      return asked ? { ...story, harvests: withAll(story.harvests, [[harvestId, { ...asked, outputs, head }]]) } : story;
    },
  ),
  "harvest.failed": on(z.object({ harvestId: z.string(), reason: z.string() }), (story, { harvestId, reason }) => {
    const asked = story.harvests.get(harvestId);
    return asked ? { ...story, harvests: withAll(story.harvests, [[harvestId, { ...asked, reason }]]) } : story;
  }),
  "task.progress": (story, data) => {
    const told = data as unknown as TaskProgress;
    const before = story.progress.get(told.leaseId)?.points ?? [];
    const last = before.at(-1)?.at ?? 0;
    // The history comes again with each connection.
    const fresh = told.points.filter(({ at }) => at > last);
    let points = before.length === 0 ? told.points : [...before, ...fresh];
    if (points.length > mostPoints) points = points.filter((_, i) => i % 2 === (points.length - 1) % 2);
    return { ...story, progress: withAll(story.progress, [[told.leaseId, { ...told, points }]]) };
  },
};

/**
 * The story with one more event; the one before is not to be used any more.
 * @example for await (const event of client.watch(runId)) story = tell(story, event);
 */
export function tell(story: Story, event: WatchEvent): Story {
  const told = telling[event.type]?.(story, event.data, event.at) ?? story;
  // What has no place in the log is no news.
  return event.sequence === 0 ? told : { ...told, log: [...told.log, event].slice(-logLength) };
}
