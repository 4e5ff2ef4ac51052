/** What stands between trained sub-models and a head: the gate, and the kept statistics of each device. For a run and for an export of it. */
import { classCountsOf } from "../data/background.ts";
import { inspectHarvest } from "../harvest/gate.ts";
import type { Harvested } from "../harvest/harvested.ts";
import { type DeviceStatistics, decodeStatistics, encodeStatistics } from "../harvest/statistics.ts";
import { SheafError } from "../util/errors.ts";
import { decodeSafetensors, encodeSafetensors } from "../util/safetensors.ts";
import type { Tensor } from "../util/tensor.ts";
import { type RunDirectory, readFinished } from "./directory.ts";
import type { PreparedRun } from "./prepare.ts";

/** Which devices' sub-models go into the global model, and why the others do not. */
export interface GateOutcome {
  readonly harvested: readonly Harvested[];
  /** Reasons by device. */
  readonly rejected: ReadonlyMap<string, string>;
}

/** Passes every device's result through the gate. Throws `corrupt` when none passes. */
export function passGate(
  prepared: PreparedRun,
  parametersOf: (device: string) => ReadonlyMap<string, Tensor>,
  labels: Uint16Array,
  classCount: number,
): GateOutcome {
  const harvested: Harvested[] = [];
  const rejected = new Map<string, string>();
  for (const { subModel, own, background, made } of prepared.devices) {
    try {
      const parameters = inspectHarvest(subModel, parametersOf(subModel.device));
      const classCounts = classCountsOf(labels, classCount, own, background);
      const backgroundSamples = background.length + made.length;
      const logitAdjustment = prepared.jobs.find(({ id }) => id === subModel.device)?.settings.logitAdjustment ?? 0;
      const counts = { ownSamples: own.length, backgroundSamples, madeSamples: made.length, classCounts };
      harvested.push({ subModel, parameters, ...counts, logitAdjustment });
    } catch (error) {
      if (!(error instanceof SheafError && error.code === "corrupt")) throw error;
      rejected.set(subModel.device, error.message);
    }
  }
  if (harvested.length === 0) throw new SheafError("corrupt", `No device's sub-model passed the gate: ${[...rejected.values()][0]}`);
  return { harvested, rejected };
}

/** Sums for heads, and sums of held-out samples, on which their ridges are chosen. */
export type SumsKind = "statistics" | "heldOut";

const sumsId = (device: string, kind: SumsKind): string => `${device}.${kind}`;

/**
 * A device's kept statistics, if there are any, and if they are of these branches where `branches` (a hash of them) is given.
 * Throws `corrupt` when the file is damaged.
 */
export async function readStatistics(
  path: string,
  device: string,
  branches?: string,
  kind: SumsKind = "statistics",
): Promise<DeviceStatistics | undefined> {
  const found = await readFinished(path, sumsId(device, kind));
  if (!found) return undefined;
  if (branches !== undefined && (found.facts as { readonly branches?: string } | null)?.branches !== branches) return undefined;
  return decodeStatistics(encodeSafetensors(found.tensors), `The statistics of ${device} in ${path}`);
}

/** Keeps a device's statistics, with a checksum and the hash of the branches that they are of. */
export function keepStatistics(
  directory: RunDirectory,
  device: string,
  statistics: DeviceStatistics,
  branches: string,
  kind: SumsKind = "statistics",
): Promise<void> {
  const { tensors } = decodeSafetensors(encodeStatistics(statistics), device);
  return directory.finish(sumsId(device, kind), tensors, { branches });
}
