/** The result of a simulation as one value: what `sheaf simulate --json` prints. */
import type { LogHead } from "../coordinator/chain.ts";
import type { Run, State } from "../coordinator/state.ts";
import type { Cost, CostTable } from "./meter.ts";
import { type CoveragePoint, missingNames, type PhaseTime, type Record, thinned } from "./recorder.ts";
import type { VirtualDevice } from "./virtualFleet.ts";

/** What a device did, in all. */
export interface DeviceAccount {
  bytesDown: number;
  bytesUp: number;
  macs: number;
  busySeconds: number;
}

/** What the coordinator took, on this machine: the only figures that differ from one simulation to the next. */
export interface CoordinatorCost {
  readonly cpuMs: number;
  readonly cpuMsPerDevice: number;
  readonly commands: number;
  readonly byCommand: CostTable;
  readonly byPhase: CostTable;
  /** Hashing and chaining the log's entries. */
  readonly log: Cost;
}

export interface SimulationResult {
  readonly seed: number;
  readonly training: "real" | "stubbed";
  readonly devices: {
    readonly total: number;
    readonly enrolled: number;
    /** With a place in the plan. */
    readonly planned: number;
    /** All of whose tasks were done by themselves. */
    readonly finished: number;
    /** Some of whose tasks others did. */
    readonly substituted: number;
    /** So slow that another was given their task too. */
    readonly straggled: number;
    /** Gone for good before the run was over, with a task of their own not done by them. */
    readonly lost: number;
    /** That did another's task. */
    readonly helpers: number;
  };
  readonly outcome: "finished" | "failed" | "unfinished";
  /** Why it did not finish. */
  readonly reason?: string;
  /** Virtual seconds since the start; absent for what did not happen. */
  readonly seconds: {
    readonly plan?: number;
    readonly firstModel?: number;
    readonly covered?: number;
    readonly finalModel?: number;
    /** When the simulation stopped. */
    readonly end: number;
  };
  readonly phases: readonly PhaseTime[];
  readonly classes: { readonly total: number; readonly covered: number; readonly missing: readonly string[] };
  readonly coverage: readonly CoveragePoint[];
  readonly tasks: {
    readonly total: number;
    readonly done: number;
    readonly givenUp: number;
    /** Leases beyond the first of each task. */
    readonly reoffered: number;
    readonly leases: Record["leases"];
    readonly leasesLost: Record["leasesLost"];
  };
  readonly bytes: { readonly down: number; readonly up: number };
  readonly macs: { readonly useful: number; readonly wasted: number };
  /** Absent where a profile states no watts. */
  readonly energyJoules?: number;
  readonly log: { readonly entries: number; readonly head: string };
  /** Absent with stubbed training, which makes no model. */
  readonly model?: { readonly sha256: string; readonly bytes: number; readonly accuracy?: number };
  /** Absent with real training, beside which it would not be seen. */
  readonly coordinator?: CoordinatorCost;
}

/** What a simulation of either kind hands over. */
export interface Ended {
  readonly seed: number;
  readonly training: "real" | "stubbed";
  readonly fleet: readonly { readonly device: VirtualDevice; readonly account: DeviceAccount; readonly isGone: boolean }[];
  readonly state: State;
  readonly run: Run;
  readonly record: Record;
  readonly endMs: number;
  readonly head: LogHead;
  readonly costs: CostTable | undefined;
  readonly reason?: string;
  readonly model?: SimulationResult["model"];
}

const sumOf = (costs: readonly Cost[]): Cost =>
  costs.reduce((sum, { count, cpuMs }) => ({ count: sum.count + count, cpuMs: sum.cpuMs + cpuMs }), { count: 0, cpuMs: 0 });

function costOf(costs: CostTable, deviceCount: number): CoordinatorCost {
  const isPhase = (name: string): boolean => name.startsWith("phase ");
  const pick = (wanted: (name: string) => boolean, rename = (name: string): string => name): CostTable =>
    Object.fromEntries(Object.entries(costs).flatMap(([name, cost]) => (wanted(name) ? [[rename(name), cost]] : [])));
  const byCommand = pick((name) => !isPhase(name) && name !== "log");
  const log = costs.log ?? { count: 0, cpuMs: 0 };
  const { count, cpuMs } = sumOf(Object.values(byCommand));
  return {
    cpuMs: cpuMs + log.cpuMs,
    cpuMsPerDevice: (cpuMs + log.cpuMs) / deviceCount,
    commands: count,
    byCommand,
    byPhase: pick(isPhase, (name) => name.slice("phase ".length)),
    log,
  };
}

/** Puts a result together. */
export function outcomeOf(ended: Ended): SimulationResult {
  const { seed, training, fleet, state, run, record, endMs, head, costs, reason, model } = ended;
  const idOf = new Map([...state.devices.values()].map(({ name, deviceId }) => [name, deviceId]));
  const fates = { finished: 0, lost: 0 };
  let planned = 0;
  for (const { device, isGone } of fleet) {
    const deviceId = idOf.get(device.name) ?? "";
    const own = run.ownTasks.get(deviceId);
    if (!own) continue;
    planned++;
    const isDone = own.every((taskId) => run.tasks.get(taskId)?.result?.deviceId === deviceId);
    if (isDone) fates.finished++;
    else if (isGone) fates.lost++;
  }
  const tasks = [...run.tasks.values()];
  const missing = missingNames(run);
  const total = run.definition.classNames.length - (run.definition.otherClass === undefined ? 0 : 1);
  const accounts = fleet.map(({ account }) => account);
  const sum = (value: (account: DeviceAccount) => number): number => accounts.reduce((all, account) => all + value(account), 0);
  const macs = sum((account) => account.macs);
  const hasWatts = fleet.every(({ device }) => device.profile.watts !== undefined);
  const { planSeconds, firstModelSeconds, coveredSeconds, endSeconds } = record;
  const isOver = run.phase === "finished" || run.phase === "failed";
  const why = run.reason ?? reason;
  return {
    seed,
    training,
    devices: {
      total: fleet.length,
      enrolled: state.devices.size,
      planned,
      ...fates,
      substituted: record.helped.size,
      straggled: record.slow.size,
      helpers: record.helpers.size,
    },
    outcome: isOver ? (run.phase as "finished" | "failed") : "unfinished",
    ...(why === undefined || run.phase === "finished" ? {} : { reason: why }),
    seconds: {
      ...(planSeconds === undefined ? {} : { plan: planSeconds }),
      ...(firstModelSeconds === undefined ? {} : { firstModel: firstModelSeconds }),
      ...(coveredSeconds === undefined ? {} : { covered: coveredSeconds }),
      ...(run.phase === "finished" && endSeconds !== undefined ? { finalModel: endSeconds } : {}),
      end: endMs / 1000,
    },
    phases: record.phases,
    classes: { total, covered: total - missing.length, missing },
    coverage: thinned(record.coverage),
    tasks: {
      total: tasks.length,
      done: tasks.filter(({ status }) => status === "done").length,
      givenUp: tasks.filter(({ status }) => status === "givenUp").length,
      reoffered: tasks.reduce((all, { attempts }) => all + Math.max(0, attempts - 1), 0),
      leases: record.leases,
      leasesLost: record.leasesLost,
    },
    bytes: { down: Math.round(sum((a) => a.bytesDown)), up: Math.round(sum((a) => a.bytesUp)) },
    macs: { useful: record.usefulMacs, wasted: Math.max(0, macs - record.usefulMacs) },
    ...(hasWatts
      ? { energyJoules: fleet.reduce((all, { device, account }) => all + (device.profile.watts ?? 0) * account.busySeconds, 0) }
      : {}),
    log: { entries: head.sequence, head: head.hash },
    ...(model ? { model } : {}),
    ...(costs ? { coordinator: costOf(costs, fleet.length) } : {}),
  };
}
