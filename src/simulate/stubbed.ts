/** A fleet whose training is timed and not done: the coordinator's own rules, devices by the cost model, any number of them in one thread. */
import type { LogEntry } from "../coordinator/chain.ts";
import type { RunDefinition } from "../coordinator/events.ts";
import { isOver, type Run } from "../coordinator/state.ts";
import { SheafError } from "../util/errors.ts";
import { sha256Hex } from "../util/hash.node.ts";
import { openEventQueue } from "./eventQueue.ts";
import { outcomeOf, type SimulationResult } from "./outcome.ts";
import { openRecorder } from "./recorder.ts";
import { type Happening, StubbedDevice, type StubbedWorld, weightSizes } from "./stubbedDevice.ts";
import { openVirtualCoordinator } from "./virtualCoordinator.ts";
import type { VirtualDevice } from "./virtualFleet.ts";

/** Virtual time begins on 1 January 2026, 18:00 UTC; milliseconds since 1970. */
export const startMs: number = Date.UTC(2026, 0, 1, 18);

/** How the world around the devices is. */
export interface WorldOptions {
  /** One exchange with the coordinator. */
  readonly latencyMs: number;
  /** How often the coordinator looks at the clock. */
  readonly tickMs: number;
  readonly untilMs: number;
  /** Told now and then how far it is. */
  readonly onProgress?: (seconds: number, run: Run) => void;
  /** Takes the entries of the log. */
  readonly onEntries?: (entries: readonly LogEntry[]) => void;
}

export interface StubbedOptions extends WorldOptions {
  readonly seed: number;
  readonly definition: RunDefinition;
  readonly fleet: readonly VirtualDevice[];
  /** Whether all devices hold the very same samples. */
  readonly sameSamples: boolean;
  readonly checkpointSeconds: number;
  readonly signal: AbortSignal;
}

/** Longest wait for an offer, as `sheaf join` asks for it. */
const offerWaitMs = 25_000;
/** Happenings between two looks at the outside: writing the log, being stopped. */
const breath = 500;

type Item = { readonly device: StubbedDevice; readonly generation: number; readonly what: Happening } | "tick";

/** Why a run that is gathering will do so for ever; undefined where it may yet begin. */
export function stalled(run: Run, enrolled: number, isMoreToCome: boolean): string | undefined {
  const { minimumDevices, startBySeconds } = run.definition.policy;
  if (run.phase !== "gathering" || isMoreToCome || startBySeconds !== undefined) return undefined;
  if (run.reason !== undefined) return run.reason;
  return `${enrolled} devices came, and the plan waits for ${minimumDevices} (serve.minimumDevices) and an owner of every class; set serve.startBySeconds.`;
}

/**
 * Simulates a run. The same options give the same result, `coordinator` aside. Throws `interrupted` after the signal.
 * @example await simulateStubbed({ definition, fleet: drawFleet(options), seed: 0, ... })
 */
export async function simulateStubbed(options: StubbedOptions): Promise<SimulationResult> {
  const { seed, definition, fleet, sameSamples, latencyMs, tickMs, untilMs, checkpointSeconds, signal, onProgress, onEntries } = options;
  const queue = openEventQueue<Item>();
  const coordinator = openVirtualCoordinator({
    startMs,
    onEvents: (events) => recorder.take(events),
    ...(onEntries ? { onEntries } : {}),
  });
  const runNow = (): Run | undefined => coordinator.state.runs.first();
  const recorder = openRecorder(startMs, runNow);
  const world: StubbedWorld = {
    coordinator,
    definition,
    latencyMs,
    checkpointMs: 1000 * checkpointSeconds,
    waitMs: offerWaitMs,
    at: (timeMs, device, generation, what) => queue.push(timeMs, { device, generation, what }),
    waiting: new Map(),
    weightBytes: weightSizes(definition),
  };
  const { classNames, sampleShape } = definition;
  coordinator.do({ type: "createRun", definition }, startMs);
  queue.push(startMs + tickMs, "tick");
  const devices = fleet.map((device) => {
    const fingerprint = sha256Hex(sameSamples ? "all" : `samples of ${device.name}`);
    return new StubbedDevice(shifted(device), { classNames, counts: device.counts, sampleShape, fingerprint }, world);
  });
  const expected = fleet.filter(({ intervals }) => intervals.length > 0).length;
  const endsMs = startMs + untilMs;
  let nowMs = startMs;
  let reason: string | undefined;
  for (let handled = 1; ; handled++) {
    const next = queue.pop();
    const run = runNow() as Run;
    if (!next || isOver(run)) break;
    if (next.atMs > endsMs) {
      reason = `It was not over after ${untilMs / 3_600_000} hours.`;
      break;
    }
    nowMs = next.atMs;
    if (next.item === "tick") {
      coordinator.do({ type: "tick" }, nowMs);
      const { size } = coordinator.state.devices;
      reason = stalled(runNow() as Run, size, size < expected);
      if (reason !== undefined) break;
      queue.push(nowMs + tickMs, "tick");
    } else {
      next.item.device.happen(next.item.what, next.item.generation, nowMs);
    }
    // Those who wait ask again, in the order in which they came.
    for (let woken = coordinator.takeWoken(); woken === "all" || woken.size > 0; woken = coordinator.takeWoken()) {
      const asking = woken === "all" ? [...world.waiting.values()] : [...woken].flatMap((deviceId) => world.waiting.get(deviceId) ?? []);
      for (const device of asking) device.ask(nowMs);
    }
    if (handled % breath === 0) {
      await coordinator.flush();
      if (signal.aborted) throw new SheafError("interrupted", "The simulation was stopped.");
      onProgress?.((nowMs - startMs) / 1000, runNow() as Run);
    }
  }
  await coordinator.flush();
  return outcomeOf({
    seed,
    training: "stubbed",
    fleet: devices.map((device) => ({ device: device.device, account: device.account, isGone: device.isGone() })),
    state: coordinator.state,
    run: runNow() as Run,
    record: recorder.record,
    endMs: nowMs - startMs,
    head: coordinator.head,
    costs: coordinator.costs(),
    ...(reason === undefined ? {} : { reason }),
  });
}

/** A device with its intervals by the coordinator's clock. */
export function shifted(device: VirtualDevice): VirtualDevice {
  const intervals = device.intervals.map((interval) => ({
    ...interval,
    fromMs: startMs + interval.fromMs,
    toMs: startMs + interval.toMs,
  }));
  return { ...device, intervals };
}
