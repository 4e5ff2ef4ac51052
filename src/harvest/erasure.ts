/** What is left when devices are lost: their branches' columns are taken out of the others' sums, and a head is made from the rest. */
import { SheafError } from "../util/errors.ts";
import { zeros } from "../util/tensor.ts";
import type { BranchLayout } from "./harvested.ts";
import { basisWidth, type Head } from "./heads.ts";
import type { DeviceStatistics, Moments } from "./statistics.ts";

interface KeptColumns {
  readonly features: readonly number[];
  readonly logProbabilities: readonly number[];
}

function keptColumns(layout: BranchLayout, lost: readonly string[]): KeptColumns {
  const unknown = lost.find((id) => layout.branches.every(({ device }) => device !== id));
  if (unknown !== undefined) {
    throw new SheafError(
      "usage",
      `No branch is of device "${unknown}", so it cannot be left out; there are ${layout.branches.map((b) => b.device).join(", ")}.`,
    );
  }
  const left = layout.branches.filter(({ device }) => !lost.includes(device));
  if (left.length === 0) throw new SheafError("usage", "All devices are left out; at least one must remain.");
  const columns = (kind: "features" | "logProbabilities"): number[] =>
    left.flatMap((branch) => {
      const [start, end] = branch[kind];
      return Array.from({ length: end - start }, (_, i) => start + i);
    });
  return { features: columns("features"), logProbabilities: columns("logProbabilities") };
}

function block(matrix: Float64Array, width: number, rows: readonly number[], columns: readonly number[]): Float64Array {
  const result = new Float64Array(rows.length * columns.length);
  rows.forEach((row, i) => {
    columns.forEach((column, j) => {
      result[i * columns.length + j] = matrix[row * width + column] as number;
    });
  });
  return result;
}

/**
 * The sums of the same samples over the branches that remain without the devices `lost`: a sum over columns that are not there is what it would have
 * been without them, so nothing need be computed again. Sums of an expansion mix all branches and are dropped.
 * Statistics that the lost devices themselves would have sent are the caller's to leave out.
 * Throws `usage` when a device has no branch or none is left.
 */
export function withoutBranches(statistics: DeviceStatistics, layout: BranchLayout, lost: readonly string[]): DeviceStatistics {
  const kept = keptColumns(layout, lost);
  const { classCount, counts, crossScores } = statistics;
  const classes = Array.from({ length: classCount }, (_, c) => c);
  const select = ({ width, gram, sums }: Moments, columns: readonly number[]): Moments => ({
    width: columns.length,
    gram: block(gram, width, columns, columns),
    sums: block(sums, classCount, columns, classes),
  });
  return {
    classCount,
    counts,
    features: select(statistics.features, kept.features),
    logProbabilities: select(statistics.logProbabilities, kept.logProbabilities),
    ...(crossScores ? { crossScores: block(crossScores, statistics.logProbabilities.width, kept.features, kept.logProbabilities) } : {}),
  };
}

/** A head made without the devices `lost`, as one over all branches that gives theirs no weight. Throws `config` for a head on an expansion. */
export function overAllBranches(head: Head, layout: BranchLayout, lost: readonly string[]): Head {
  const kept = keptColumns(layout, lost);
  const columnsOn = (): readonly number[] => {
    switch (head.on) {
      case "features":
      case "logProbabilities":
        return kept[head.on];
      case "featuresAndScores":
        return [...kept.features, ...kept.logProbabilities.map((column) => layout.features + column)];
      case "featuresAndExpansion":
        throw new SheafError("config", "A head on an expansion of all branches cannot be used without some of them.");
    }
  };
  const columns = columnsOn();
  const [classes = 0, from = 0] = head.weight.shape;
  const width = basisWidth(layout, head.on);
  const weight = zeros("float32", [classes, width]);
  for (let c = 0; c < classes; c++) {
    columns.forEach((column, i) => {
      weight.data[c * width + column] = head.weight.data[c * from + i] as number;
    });
  }
  return { ...head, weight };
}
