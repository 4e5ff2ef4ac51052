/** Who may stand in for others: devices by what they hold, so that nobody looks through all of a large fleet for each task that was left. */
import type { TaskKind } from "../protocol/tasks.ts";
import type { Slot } from "./events.ts";
import { holdings } from "./holdings.ts";
import type { Device, Run, State } from "./state.ts";

/** Made once for a fleet as it is. */
interface Fleet {
  readonly bySamples: ReadonlyMap<string, readonly Device[]>;
  /** Holders by class, for the classes of a run. */
  readonly byClass: WeakMap<readonly string[], readonly (readonly Device[])[]>;
}

const fleets = new WeakMap<State["devices"], Fleet>();

function fleetOf({ devices }: Pick<State, "devices">): Fleet {
  const known = fleets.get(devices);
  if (known) return known;
  const bySamples = new Map<string, Device[]>();
  for (const device of devices.values()) {
    const alike = bySamples.get(device.data.fingerprint);
    if (alike) alike.push(device);
    else bySamples.set(device.data.fingerprint, [device]);
  }
  const fleet: Fleet = { bySamples, byClass: new WeakMap() };
  fleets.set(devices, fleet);
  return fleet;
}

function holdersOf(fleet: Fleet, { devices }: Pick<State, "devices">, classNames: readonly string[]): readonly (readonly Device[])[] {
  const known = fleet.byClass.get(classNames);
  if (known) return known;
  const holders = classNames.map((): Device[] => []);
  for (const device of devices.values()) {
    for (const [classId, count] of holdings({ classNames }, device).entries()) if (count > 0) holders[classId]?.push(device);
  }
  fleet.byClass.set(classNames, holders);
  return holders;
}

/** Devices with the very samples that a device holds, itself among them. */
export function withSameSamples(state: Pick<State, "devices">, device: Device): readonly Device[] {
  return fleetOf(state).bySamples.get(device.data.fingerprint) ?? [];
}

/** The devices among which are all that hold the samples for a task of a slot: those with the very same, or the holders of the slot's rarest class. */
export function possibleStandIns(state: Pick<State, "devices">, run: Run, slot: Slot, kind: TaskKind): readonly Device[] {
  if (kind === "statistics") {
    const owner = state.devices.get(slot.deviceId);
    return owner ? withSameSamples(state, owner) : [];
  }
  const holders = holdersOf(fleetOf(state), state, run.definition.classNames);
  return slot.taskSet.map((classId) => holders[classId] ?? []).reduce((fewest, each) => (each.length < fewest.length ? each : fewest));
}
