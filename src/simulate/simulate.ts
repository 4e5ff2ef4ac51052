/** From a configuration and a description of a fleet to the result of a simulated run. */
import type { RunDefinition } from "../coordinator/events.ts";
import { openMemoryObjects } from "../coordinator/memory.ts";
import type { ObjectStore } from "../coordinator/store.ts";
import { classCountsOf } from "../data/background.ts";
import { defineRun } from "../fleet/define.ts";
import { type KnownSamples, openSamplesOf, type SamplesOf } from "../fleet/samples.ts";
import { resolveProfile } from "../plan/device.ts";
import type { RunConfig } from "../run/config.ts";
import { SheafError } from "../util/errors.ts";
import type { SimulationResult } from "./outcome.ts";
import { simulateReal } from "./real.ts";
import { simulateStubbed, type WorldOptions } from "./stubbed.ts";
import type { Trace } from "./trace.ts";
import { drawFleet, type FleetOptions, type VirtualDevice } from "./virtualFleet.ts";

export interface SimulationOptions extends Omit<FleetOptions, "seed" | "profiles" | "classCounts">, WorldOptions {
  /** Of the configuration's `fleet.devices` by default. */
  readonly profiles?: FleetOptions["profiles"];
  readonly training: "real" | "stubbed";
  /** Where data sets lie. */
  readonly dataFolder?: string;
  /** With real training: told what goes wrong on a device, and given the model. */
  readonly onProblem?: (message: string) => void;
  readonly onModel?: (bytes: Uint8Array) => Promise<void>;
  readonly signal: AbortSignal;
}

/** Profiles of the configured devices, each as often as it is there. */
export function configuredProfiles({ fleet }: Pick<RunConfig, "fleet">): FleetOptions["profiles"] {
  return fleet.devices.map(({ profile, id, classes: _, ...figures }) => {
    const changes = Object.fromEntries(Object.entries(figures).filter(([, value]) => value !== undefined));
    const config = profile === undefined ? { name: id ?? "device", ...changes } : { like: profile, ...changes };
    return { profile: resolveProfile(config), weight: 1 };
  });
}

export interface Simulation {
  readonly result: SimulationResult;
  /** When devices were there, as drawn or as given. */
  readonly trace: Trace;
}

/** A run that is ready to be simulated. */
interface Prepared {
  readonly definition: RunDefinition;
  readonly fleet: readonly VirtualDevice[];
  readonly samples: KnownSamples;
  readonly samplesOf: SamplesOf;
  readonly objects: ObjectStore;
}

async function prepare(config: RunConfig, options: SimulationOptions): Promise<Prepared> {
  const objects = openMemoryObjects();
  const samplesOf = openSamplesOf(options.dataFolder);
  const samples = await samplesOf(config);
  const { train } = samples;
  if (!train) throw new SheafError("config", "A simulation needs samples to deal out; give `data` and no `serve.samples`.");
  const fleet = drawFleet({
    ...options,
    seed: config.seed,
    profiles: options.profiles ?? configuredProfiles(config),
    classCounts: classCountsOf(train.labels, train.classNames.length, Uint32Array.from(train.labels.keys())),
  });
  const coming = fleet.filter(({ intervals }) => intervals.length > 0).length;
  // A run of its own would begin with the first two.
  const serve = { ...config.serve, minimumDevices: Math.max(config.serve.minimumDevices, Math.min(coming, options.deviceCount)) };
  const asked = { ...config, serve };
  const definition = await defineRun(
    { name: "simulation", config: asked as unknown as Readonly<Record<string, unknown>> },
    samplesOf,
    (bytes) => objects.put(bytes),
  );
  return { definition, fleet, samples, samplesOf, objects };
}

/**
 * Simulates one run. The same configuration and options give the same result, `coordinator` aside.
 * Throws `config`, `data`, `network` with the reason where there is nothing to simulate, `interrupted` after the signal.
 */
export async function simulate(config: RunConfig, options: SimulationOptions): Promise<Simulation> {
  const prepared = await prepare(config, options);
  const { definition, fleet } = prepared;
  const common = { ...options, seed: config.seed, definition, fleet, checkpointSeconds: config.checkpointSeconds };
  const trace = new Map(fleet.map(({ name, intervals }) => [name, intervals]));
  if (options.training === "real") return { trace, result: await simulateReal({ ...common, ...prepared }) };
  return { trace, result: await simulateStubbed({ ...common, sameSamples: options.holdings.type === "all" }) };
}
