/** The statistics pass of a run, and what heads are made of: sums of all devices, or of those that remain. */

import type { Samples } from "../data/samples.ts";
import { withoutBranches } from "../harvest/erasure.ts";
import { expansionWeights } from "../harvest/expansion.ts";
import { type Harvested, layOut } from "../harvest/harvested.ts";
import type { HeadSource } from "../harvest/makeHead.ts";
import { addStatistics, type DeviceStatistics } from "../harvest/statistics.ts";
import { compileStatistics, computeStatistics, type StatisticsExtras } from "../harvest/statisticsPass.ts";
import { writeOnnx } from "../onnx/write.ts";
import { openSession } from "../runtime/session.node.ts";
import { SheafError } from "../util/errors.ts";
import { sha256Hex } from "../util/hash.node.ts";
import type { RunConfig } from "./config.ts";
import type { RunDirectory } from "./directory.ts";
import { keepStatistics, readStatistics, type SumsKind } from "./harvest.ts";
import { headPlan } from "./headPlan.ts";
import type { RunOptions } from "./options.ts";
import type { PreparedRun } from "./prepare.ts";
import { throwIfInterrupted } from "./trainJobs.ts";

/** What heads are made of, but for branches that are given apart. */
export type HeadSums = Omit<HeadSource, "harvested">;

/** What a configuration's heads need summed; the expansion follows from the seed and the branches' number of features. */
function extrasOf(config: RunConfig, harvested: readonly Harvested[]): StatisticsExtras {
  const { scores, expanded } = headPlan(config);
  const { features } = layOut(harvested.map((h) => h.subModel));
  return { scores, ...(expanded > 0 ? { expansion: expansionWeights(config.seed, expanded, features) } : {}) };
}

function headSums(
  config: RunConfig,
  classCount: number,
  { expansion }: StatisticsExtras,
  sums: ReadonlyMap<SumsKind, DeviceStatistics>,
): HeadSums {
  const [statistics, heldOut] = [sums.get("statistics"), sums.get("heldOut")];
  return {
    classCount,
    ...(statistics ? { statistics } : {}),
    // Sums of no samples choose nothing.
    ...(heldOut?.counts.some((n) => n > 0) ? { heldOut } : {}),
    ...(expansion ? { expansion } : {}),
    ...(config.heads.ridge === undefined ? {} : { ridge: config.heads.ridge }),
  };
}

/** Which sums devices keep: those of held-out samples apart, where there are any. */
const kindsOf = ({ heads }: RunConfig): readonly SumsKind[] => (heads.heldOutShare > 0 ? ["statistics", "heldOut"] : ["statistics"]);

const kindNames: { readonly [K in SumsKind]: string } = { statistics: "statistics", heldOut: "statistics of held-out samples" };

/** One forward pass of all branches over each device's samples of the pass; only sums are kept, device by device, and added. */
export async function gatherStatistics(
  config: RunConfig,
  prepared: PreparedRun,
  harvested: readonly Harvested[],
  train: Samples,
  directory: RunDirectory,
  options: RunOptions,
): Promise<HeadSums> {
  const classCount = train.dataset.classNames.length;
  const extras = extrasOf(config, harvested);
  const program = compileStatistics(harvested, classCount, undefined, extras);
  const model = writeOnnx(program.graph);
  const branches = sha256Hex(model);
  const session = await openSession(model, { name: "the statistics pass" });
  try {
    const totals = new Map<SumsKind, DeviceStatistics>();
    for (const device of prepared.devices) {
      const { subModel } = device;
      for (const kind of kindsOf(config)) {
        throwIfInterrupted(options.signal, directory.path);
        let statistics = await readStatistics(directory.path, subModel.device, branches, kind);
        if (!statistics) {
          const samples = device[kind];
          options.onEvent?.({ type: "statistics", device: subModel.device, samples: samples.length });
          statistics = await computeStatistics(session, program, train, samples, options.signal ? { signal: options.signal } : {});
          await keepStatistics(directory, subModel.device, statistics, branches, kind);
          await directory.log({ type: "statistics", device: subModel.device, samples: samples.length });
        }
        const total = totals.get(kind);
        totals.set(kind, total ? addStatistics(total, statistics) : statistics);
      }
    }
    return headSums(config, classCount, extras, totals);
  } finally {
    await session.dispose();
  }
}

/**
 * What a head is made of without the devices `lost`: the branches and the kept sums of the others. `harvested` are all branches that the sums are of (of a
 * lost one only its place counts), and `devices` all that have kept sums. Throws `data` where sums are missing, `corrupt` where they are of other branches.
 */
export async function sourceWithout(
  path: string,
  config: RunConfig,
  devices: readonly string[],
  harvested: readonly Harvested[],
  classCount: number,
  lost: readonly string[] = [],
): Promise<HeadSource> {
  const layout = layOut(harvested.map((h) => h.subModel));
  const left = lost.filter((id) => layout.branches.some(({ device }) => device === id));
  const totals = new Map<SumsKind, DeviceStatistics>();
  for (const device of devices) {
    if (lost.includes(device)) continue;
    for (const kind of kindsOf(config)) {
      const sums = await readStatistics(path, device, undefined, kind);
      if (!sums) throw new SheafError("data", `${path} has no ${kindNames[kind]} of ${device} yet; resume the run, or export H0.`);
      if (sums.features.width !== layout.features)
        throw new SheafError(
          "corrupt",
          `The ${kindNames[kind]} of ${device} in ${path} are of ${sums.features.width} features, but the branches there have ${layout.features}; delete checkpoints/*.${kind}.safetensors and resume the run.`,
        );
      const total = totals.get(kind);
      totals.set(kind, total ? addStatistics(total, sums) : sums);
    }
  }
  if (left.length === 0) return { harvested, ...headSums(config, classCount, extrasOf(config, harvested), totals) };
  for (const [kind, sums] of totals) totals.set(kind, withoutBranches(sums, layout, left));
  return {
    harvested: harvested.filter(({ subModel }) => !lost.includes(subModel.device)),
    ...headSums(config, classCount, {}, totals),
  };
}
