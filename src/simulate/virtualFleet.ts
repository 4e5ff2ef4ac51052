/** The devices of a simulation: a profile, samples by class, and a trace each; all drawn by seed, each from streams of its own. */
import { apportion } from "../data/dataset.ts";
import type { DeviceProfile } from "../plan/device.ts";
import { random, shuffle } from "../util/random.ts";
import { drawTrace, type TraceOptions } from "./arrivals.ts";
import type { Interval, Trace } from "./trace.ts";

/** A virtual device. */
export interface VirtualDevice {
  readonly name: string;
  /** What it says of itself. */
  readonly profile: DeviceProfile;
  /** Times the speed that it says: below 1 for a straggler, whom nobody knows for one. */
  readonly speed: number;
  /** Samples by class. */
  readonly counts: readonly number[];
  readonly intervals: readonly Interval[];
}

/** A share of the devices that are so many times slower. */
export interface Slowness {
  readonly share: number;
  readonly factor: number;
}

/** What devices hold: all of the data set each, or so many samples of so many classes, drawn for each. */
export type Holdings = { readonly type: "all" } | { readonly type: "drawn"; readonly samples: number; readonly classes: number };

export interface FleetOptions extends TraceOptions {
  readonly deviceCount: number;
  readonly profiles: readonly { readonly profile: DeviceProfile; readonly weight: number }[];
  /** Links are measured by the device itself, so that the plan knows of slow ones. */
  readonly slowLinks: Slowness;
  readonly stragglers: Slowness;
  readonly holdings: Holdings;
  /** Samples by class of the whole data set. */
  readonly classCounts: readonly number[];
  /** In place of what `arrivals`, `sessions` and `losses` say; names and number of the devices follow from it. */
  readonly trace?: Trace;
}

/** Samples by class of one device. */
function drawCounts({ seed, holdings, classCounts }: FleetOptions, name: string): readonly number[] {
  if (holdings.type === "all") return classCounts;
  const source = random(seed, "simulate", "samples", name);
  const held = shuffle([...classCounts.keys()], source).slice(0, holdings.classes);
  const weights = classCounts.map((_, classId) => (held.includes(classId) ? 0.2 + source.uniform() : 0));
  return apportion(holdings.samples, weights).map((count, classId) => Math.min(count, classCounts[classId] as number));
}

function drawProfile({ seed, profiles }: FleetOptions, name: string, place: number): DeviceProfile {
  const total = profiles.reduce((sum, { weight }) => sum + weight, 0);
  // Alike in weight, they take turns: a small fleet then has some of each.
  if (profiles.every(({ weight }) => weight === profiles[0]?.weight)) return profiles[place % profiles.length]!.profile;
  let at = random(seed, "simulate", "profiles", name).uniform() * total;
  for (const { profile, weight } of profiles) {
    at -= weight;
    if (at < 0) return profile;
  }
  return profiles[0]!.profile;
}

/** Names that sort as they are numbered. */
function namesOf(count: number): readonly string[] {
  const digits = String(count).length;
  return Array.from({ length: count }, (_, i) => `device-${String(i + 1).padStart(digits, "0")}`);
}

/**
 * Draws a fleet. The same options give the same fleet.
 * @example drawFleet({ deviceCount: 1000, arrivals: { type: "poisson", perHour: 200 }, ... })
 */
export function drawFleet(options: FleetOptions): readonly VirtualDevice[] {
  const { seed, deviceCount, slowLinks, stragglers } = options;
  const trace = options.trace ?? drawTrace(namesOf(deviceCount), options);
  return [...trace].map(([name, intervals], place) => {
    const source = random(seed, "simulate", "slow", name);
    const link = source.uniform() < slowLinks.share ? 1 / slowLinks.factor : 1;
    const speed = source.uniform() < stragglers.share ? 1 / stragglers.factor : 1;
    const profile = drawProfile(options, name, place);
    return {
      name,
      profile: { ...profile, bandwidthBitsPerSecond: profile.bandwidthBitsPerSecond * link },
      speed,
      counts: drawCounts(options, name),
      intervals,
    };
  });
}
