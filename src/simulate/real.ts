/** A fleet that really trains, in virtual time: the coordinator's service and the agents of `agent/` in one process. */

import { summarizeData } from "../agent/ownData.ts";
import { emptyHead, type LogEntry } from "../coordinator/chain.ts";
import type { RunDefinition } from "../coordinator/events.ts";
import { openLive } from "../coordinator/live.ts";
import { openLiveService, wokenBy } from "../coordinator/liveService.ts";
import { openMemoryLog } from "../coordinator/memory.ts";
import { planRun } from "../coordinator/planning.ts";
import { isOver, type Run } from "../coordinator/state.ts";
import type { ObjectStore } from "../coordinator/store.ts";
import { modelRole } from "../coordinator/views.ts";
import { type Dataset, samplesByClass, takeSamples } from "../data/dataset.ts";
import { assembleRun, evaluationRole, type MakeModel, makeModel } from "../fleet/assemble.ts";
import { readObject } from "../fleet/branches.ts";
import { defineRun } from "../fleet/define.ts";
import { judge } from "../fleet/gate.ts";
import type { KnownSamples, SamplesOf } from "../fleet/samples.ts";
import type { TaskSpec } from "../protocol/tasks.ts";
import { SheafError } from "../util/errors.ts";
import { sha256Hex } from "../util/hash.node.ts";
import { random, shuffle } from "../util/random.ts";
import { outcomeOf, type SimulationResult } from "./outcome.ts";
import { openRealDevice, type RealDevice } from "./realDevice.ts";
import { openRecorder } from "./recorder.ts";
import { shifted, stalled, startMs, type WorldOptions } from "./stubbed.ts";
import { openVirtualClock } from "./virtualClock.ts";
import type { VirtualDevice } from "./virtualFleet.ts";

export interface RealOptions extends WorldOptions {
  readonly seed: number;
  readonly definition: RunDefinition;
  readonly fleet: readonly VirtualDevice[];
  readonly samples: KnownSamples;
  readonly samplesOf: SamplesOf;
  readonly objects: ObjectStore;
  readonly checkpointSeconds: number;
  readonly signal: AbortSignal;
  readonly onProblem?: (message: string) => void;
  /** Takes the model. */
  readonly onModel?: (bytes: Uint8Array) => Promise<void>;
}

/** The samples of one device: as many of each class as it holds, drawn by its name. */
function dataOf(train: Dataset, { name, counts }: VirtualDevice, seed: number): Dataset {
  const byClass = samplesByClass(train.labels, train.classNames.length);
  if (byClass.every((members, classId) => members.length === counts[classId])) return train;
  const chosen = byClass.flatMap((members, classId) =>
    shuffle([...members], random(seed, "simulate", "samples", name, classId)).slice(0, counts[classId]),
  );
  return takeSamples(train, Uint32Array.from(chosen).sort(), `samples of ${name}`);
}

async function modelOf(run: Run, objects: ObjectStore, onModel: RealOptions["onModel"]): Promise<SimulationResult["model"]> {
  const model = run.outputs?.find(({ role }) => role === modelRole);
  if (!model) return undefined;
  await onModel?.(await readObject(objects, model));
  const evaluation = run.outputs?.find(({ role }) => role === evaluationRole);
  const measured = evaluation
    ? (JSON.parse(new TextDecoder().decode(await readObject(objects, evaluation))) as { readonly accuracy: number })
    : undefined;
  return { sha256: model.sha256, bytes: model.bytes, ...(measured ? { accuracy: measured.accuracy } : {}) };
}

/** Simulates a run whose devices really train. The same options give the same result, model included. Throws `interrupted` after the signal. */
export async function simulateReal(options: RealOptions): Promise<SimulationResult> {
  const { seed, definition, fleet, samples, samplesOf, objects, latencyMs, tickMs, untilMs, checkpointSeconds, signal } = options;
  const clock = openVirtualClock(startMs);
  const log = openMemoryLog<LogEntry>();
  let ids = 0;
  const now = (): number => clock.nowMs;
  const put = (bytes: Uint8Array): Promise<{ readonly sha256: string; readonly bytes: number }> => objects.put(bytes);
  await using live = await openLive({ log, sha256: sha256Hex, planner: planRun, newId: () => `id-${++ids}`, now });
  const make: MakeModel = (assembly) => makeModel(assembly, objects, samplesOf);
  const runNow = (): Run => live.state.runs.first() as Run;
  const recorder = openRecorder(startMs, runNow);
  live.listen((entries) => {
    recorder.take(entries.map(({ event }) => event));
    options.onEntries?.(entries);
    if (entries.some(({ event }) => wokenBy(live.state, event).length > 0)) clock.wake();
  });
  await using service = openLiveService({
    live,
    log,
    now,
    define: (request) => defineRun(request, samplesOf, put),
    gate: (run, task, outputs) => clock.holding(() => judge(run, task, outputs, objects, samplesOf)),
    assemble: (run, slots) => clock.holding(() => assembleRun(run, objects, make, slots)),
    put,
  });
  await live.do({ type: "createRun", definition });
  const passes = Math.max(1, definition.work.settle?.passes ?? 1);
  const world = {
    clock,
    service,
    objects,
    latencyMs,
    checkpointMs: 1000 * checkpointSeconds,
    seed,
    macsOf: ({ kind, device }: TaskSpec): number => (runNow().slots.get(device)?.macs[kind] ?? 0) / (kind === "settle" ? passes : 1),
    onProblem: options.onProblem ?? (() => undefined),
  };
  const devices: RealDevice[] = [];
  for (const device of fleet) {
    const data = dataOf(samples.train as Dataset, device, seed);
    devices.push(openRealDevice(shifted(device), data, await summarizeData(data, false), world));
  }
  const expected = fleet.filter(({ intervals }) => intervals.length > 0).length;
  let reason: string | undefined;
  const tick = (): void => {
    void live.do({ type: "tick" });
    const { size } = live.state.devices;
    reason ??= stalled(runNow(), size, size < expected);
    if (clock.nowMs >= startMs + untilMs) reason ??= `It was not over after ${untilMs / 3_600_000} hours.`;
    options.onProgress?.((clock.nowMs - startMs) / 1000, runNow());
    clock.at(clock.nowMs + tickMs, tick);
  };
  clock.at(startMs + tickMs, tick);
  await clock.run(() => isOver(runNow()) || reason !== undefined || signal.aborted);
  for (const device of devices) await device.close();
  if (signal.aborted && !isOver(runNow())) throw new SheafError("interrupted", "The simulation was stopped.");
  const model = await modelOf(runNow(), objects, options.onModel);
  return outcomeOf({
    seed,
    training: "real",
    fleet: devices.map((device) => ({ device: device.device, account: device.account, isGone: device.isGone() })),
    state: live.state,
    run: runNow(),
    record: recorder.record,
    endMs: clock.nowMs - startMs,
    head: live.head.sequence > 0 ? live.head : emptyHead,
    costs: undefined,
    ...(reason === undefined ? {} : { reason }),
    ...(model ? { model } : {}),
  });
}
