/** Heads against answers that are known otherwise: computed from the rows, or of a simpler head. */
import { describe, expect, it } from "vitest";
import { decouple } from "../decouple/subModel.ts";
import { models } from "../models/table.ts";
import { random } from "../util/random.ts";
import { solveDiscriminants } from "./discriminantHead.ts";
import { overAllBranches, withoutBranches } from "./erasure.ts";
import { type Harvested, layOut } from "./harvested.ts";
import { makeHead } from "./makeHead.ts";
import { argMax, classNames, input, momentsOf, statisticsOf, untrained } from "./parts.fixture.ts";
import { ridgeHead, solveRidge } from "./ridgeHead.ts";
import { addStatistics, type DeviceStatistics } from "./statistics.ts";

type Rows = readonly (readonly number[])[];
const classes = classNames.length;

/** Points of every class, the axes correlated and of different lengths. */
function points(count: number, width: number, seed: number): { readonly rows: Rows; readonly labels: readonly number[] } {
  const source = random(seed, "points");
  const labels = Array.from({ length: count }, (_, n) => n % classes);
  const rows = labels.map((label) => {
    const shared = source.normal();
    return Array.from({ length: width }, (_, i) => 2 + ((label * (i + 2)) % 5) / 2 + shared + (1 + i) * source.normal());
  });
  return { rows, labels };
}

/** All sums that H3 needs, from rows. */
function sumsOf(features: Rows, scores: Rows, labels: readonly number[]): DeviceStatistics {
  const joint = momentsOf(
    features.map((row, n) => [...row, ...(scores[n] as readonly number[])]),
    labels,
    classes,
  );
  const [f = 0, s = 0] = [features[0]?.length, scores[0]?.length];
  const crossScores = Float64Array.from(
    { length: f * s },
    (_, at) => joint.gram[Math.floor(at / s) * joint.width + f + (at % s)] as number,
  );
  return { ...statisticsOf(features, scores, labels, classes), crossScores };
}

/** The inverse of a matrix, by Gauss and Jordan. */
function inverse(matrix: Rows): number[][] {
  const size = matrix.length;
  const work = matrix.map((row, i) => [...row, ...Array.from({ length: size }, (_, j) => (i === j ? 1 : 0))]);
  for (let column = 0; column < size; column++) {
    const pivot = work[column]!;
    const by = pivot[column]!;
    for (let j = 0; j < 2 * size; j++) pivot[j]! /= by;
    for (const [i, row] of work.entries()) {
      const factor = row[column]!;
      if (i !== column) for (let j = 0; j < 2 * size; j++) row[j]! -= factor * pivot[j]!;
    }
  }
  return work.map((row) => row.slice(size));
}

const applied = ({ weight, bias }: { weight: ArrayLike<number>; bias: ArrayLike<number> }, row: readonly number[]): number[] =>
  Array.from({ length: bias.length }, (_, c) => row.reduce((sum, v, i) => sum + v * weight[c * row.length + i]!, bias[c]!));

describe("the linear discriminant", () => {
  it.each([0, 0.3])("from sums has the posteriors of normal densities computed from the rows (shrinkage %d)", (shrinkage) => {
    const width = 4;
    const { rows, labels } = points(150, width, 1);
    const of = (c: number): Rows => rows.filter((_, n) => labels[n] === c);
    const means = classNames.map((_, c) =>
      Array.from({ length: width }, (_, i) => of(c).reduce((sum, row) => sum + row[i]!, 0) / of(c).length),
    );
    const pooled = Array.from({ length: width }, (_, i) =>
      Array.from({ length: width }, (_, j) =>
        rows.reduce((sum, row, n) => sum + ((row[i]! - means[labels[n]!]![i]!) * (row[j]! - means[labels[n]!]![j]!)) / rows.length, 0),
      ),
    );
    const sphere = pooled.reduce((sum, row, i) => sum + row[i]! / width, 0);
    const precision = inverse(
      pooled.map((row, i) => row.map((value, j) => (value + (i === j ? shrinkage * sphere : 0)) / (1 + shrinkage))),
    );
    const logDensity = (row: readonly number[], c: number): number => {
      const apart = row.map((v, i) => v - means[c]![i]!);
      const squared = apart.reduce((sum, v, i) => sum + v * apart.reduce((s, w, j) => s + precision[i]![j]! * w, 0), 0);
      return Math.log(of(c).length / rows.length) - squared / 2;
    };
    const posterior = (logits: readonly number[]): readonly number[] => {
      const highest = Math.max(...logits);
      const total = logits.reduce((sum, v) => sum + Math.exp(v - highest), 0);
      return logits.map((v) => Math.exp(v - highest) / total);
    };
    const solution = solveDiscriminants(
      statisticsOf(
        rows,
        rows.map(() => [0]),
        labels,
        classes,
      ),
      shrinkage,
    );
    for (const row of rows) {
      const expected = posterior(classNames.map((_, c) => logDensity(row, c)));
      posterior(applied(solution, row)).forEach((p, c) => {
        expect(p).toBeCloseTo(expected[c]!, 9);
      });
    }
  });
});

describe("ridge on features and scores", () => {
  it("is ridge on scores where features say nothing, and ridge on features where scores do", () => {
    const { rows, labels } = points(60, 3, 2);
    const dull = rows.map(() => [5, 0]);
    for (const [sums, offset, width, on] of [
      [sumsOf(dull, rows, labels), 2, 3, "logProbabilities"],
      [sumsOf(rows, dull, labels), 0, 3, "features"],
    ] as const) {
      const joint = solveRidge(sums, 0.1, "featuresAndScores");
      const alone = solveRidge(sums, 0.1, on);
      for (let c = 0; c < classes; c++) {
        expect(joint.bias[c]).toBeCloseTo(alone.bias[c]!, 12);
        for (let i = 0; i < 5; i++)
          expect(joint.weight[c * 5 + i]).toBeCloseTo(i < offset || i >= offset + width ? 0 : alone.weight[c * width + i - offset]!, 12);
      }
    }
  });
});

describe("a lost device", () => {
  const harvested = untrained();
  const layout = layOut(harvested.map((h) => h.subModel));
  const source = random(5, "device");
  const devices = layout.branches.map(({ device }, d) => {
    const labels = Array.from({ length: 30 }, (_, n) => (n + d) % classes);
    const draw = (width: number): Rows =>
      labels.map((label) => Array.from({ length: width }, (_, i) => source.normal() + ((label + i) % 3)));
    return { device, labels, features: draw(layout.features), scores: draw(layout.logProbabilities) };
  });
  const sums = devices.map((d) => sumsOf(d.features, d.scores, d.labels));

  it("leaves the ridge that would have come out without it: its samples and its columns gone", () => {
    for (const [gone, { device }] of devices.entries()) {
      const rest = sums.filter((_, d) => d !== gone).reduce(addStatistics);
      const head = ridgeHead(withoutBranches(rest, layout, [device]), 0.05);
      const [start, end] = layout.branches[gone]!.features;
      const rows = devices.flatMap((d, i) => (i === gone ? [] : d.features.map((row) => [...row.slice(0, start), ...row.slice(end)])));
      const labels = devices.flatMap((d, i) => (i === gone ? [] : d.labels));
      const never = ridgeHead(
        statisticsOf(
          rows,
          rows.map(() => [0]),
          labels,
          classes,
        ),
        0.05,
      );
      expect(head.weight.shape).toEqual(never.weight.shape);
      head.weight.data.forEach((w, i) => {
        expect(w).toBeCloseTo(never.weight.data[i]!, 5);
      });
      // Sums of its own samples do tell: they are not to be counted.
      const all = ridgeHead(withoutBranches(sums.reduce(addStatistics), layout, [device]), 0.05);
      expect(all.weight.data).not.toEqual(head.weight.data);
    }
  });
});

describe("a code of devices with right branches", () => {
  /** Columns of the Hadamard matrix of 8 rows, but the first: seven devices own four of eight classes each, and every two classes differ in four. */
  const owns = (d: number, c: number): boolean => {
    let bits = (d + 1) & c;
    let parity = 0;
    for (; bits > 0; bits &= bits - 1) parity ^= 1;
    return parity === 1;
  };
  const of = 8;
  const distance = 4;
  const parts = Array.from({ length: 7 }, (_, d) => ({
    device: `d${d}`,
    taskSet: Array.from({ length: of }, (_, c) => c).filter((c) => owns(d, c)),
    widths: 0.3,
  }));
  const fleet: readonly Harvested[] = decouple(models.tiny.build(input, of), parts).map((subModel) => ({
    subModel,
    parameters: new Map(),
    ownSamples: 100,
    backgroundSamples: 100,
    classCounts: Array.from({ length: of }, () => 25),
  }));
  /** What branch d gives for a sample of a class: nearly sure of it, or of "other". */
  const says = (d: number, label: number): readonly number[] => {
    const { taskSet } = fleet[d]!.subModel;
    const place = taskSet.includes(label) ? taskSet.indexOf(label) : taskSet.length;
    return Array.from({ length: taskSet.length + 1 }, (_, i) => Math.log(i === place ? 0.99 : 0.01 / taskSet.length));
  };
  const setsOf = (size: number): number[][] =>
    Array.from({ length: 1 << 7 }, (_, mask) => Array.from({ length: 7 }, (_, d) => d).filter((d) => mask & (1 << d))).filter(
      (set) => set.length === size,
    );

  it("is decoded right by H0 whichever of its devices, fewer than the least distance, are lost", () => {
    for (let lost = 0; lost < distance; lost++) {
      for (const gone of setsOf(lost)) {
        const rest = fleet.filter((_, d) => !gone.includes(d));
        const { weight, bias } = makeHead("H0", { harvested: rest, classCount: of });
        for (let label = 0; label < of; label++) {
          const row = fleet.flatMap((_, d) => (gone.includes(d) ? [] : says(d, label)));
          expect(argMax(applied({ weight: weight.data, bias: bias.data }, row)), `class ${label} without ${gone}`).toBe(label);
        }
      }
    }
  });

  it("cannot be decoded after some losses of as many devices as the least distance", () => {
    const undecided = setsOf(distance).filter((gone) => {
      const words = Array.from({ length: of }, (_, c) =>
        Array.from({ length: 7 }, (_, d) => (gone.includes(d) ? "-" : Number(owns(d, c)))).join(""),
      );
      return new Set(words).size < of;
    });
    expect(undecided.length).toBeGreaterThan(0);
    expect(undecided.length).toBeLessThan(setsOf(distance).length);
  });

  it("is the same head over all branches with the lost ones' weights 0", () => {
    const layoutOfAll = layOut(fleet.map((h) => h.subModel));
    const rest = fleet.filter((_, d) => d !== 2);
    const head = makeHead("H0", { harvested: rest, classCount: of });
    const wide = overAllBranches(head, layoutOfAll, ["d2"]);
    const [start, end] = layoutOfAll.branches[2]!.logProbabilities;
    for (let c = 0; c < of; c++) {
      const row = [...wide.weight.data.subarray(c * layoutOfAll.logProbabilities, (c + 1) * layoutOfAll.logProbabilities)];
      expect(row.slice(start, end).every((w) => w === 0)).toBe(true);
      const width = layoutOfAll.logProbabilities - (end - start);
      expect([...row.slice(0, start), ...row.slice(end)]).toEqual([...head.weight.data.subarray(c * width, (c + 1) * width)]);
    }
  });
});
