import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openMemorySamples } from "../data/samples.ts";
import { writeOnnx } from "../onnx/write.ts";
import { openSession } from "../runtime/session.node.ts";
import { random } from "../util/random.ts";
import { floats, type Tensor } from "../util/tensor.ts";
import { chooseShrinkage, solveDiscriminants } from "./discriminantHead.ts";
import { overAllBranches, withoutBranches } from "./erasure.ts";
import { expansionWeights } from "./expansion.ts";
import { assembleGlobal, branchGraph, globalCost } from "./globalModel.ts";
import { layOut } from "./harvested.ts";
import { type HeadType, headTypes } from "./heads.ts";
import { makeHead, makeTunedHead } from "./makeHead.ts";
import { argMax, classNames, imagesOf, momentsOf, randomDataset, rowsOf, statisticsOf, untrained } from "./parts.fixture.ts";
import { chooseRidge, meanSquaredError, ridgeHead, solveRidge } from "./ridgeHead.ts";
import {
  addStatistics,
  arraysOf,
  type DeviceStatistics,
  decodeStatistics,
  encodeStatistics,
  statisticsBytes,
  widthsOf,
} from "./statistics.ts";
import { compileStatistics, computeStatistics, statisticsMacs } from "./statisticsPass.ts";

const classes = classNames.length;
const harvested = untrained();
const subModels = harvested.map((h) => h.subModel);
const layout = layOut(subModels);

type Rows = readonly (readonly number[])[];

function cross(a: Rows, b: Rows): Float64Array {
  const [width, other] = [a[0]?.length ?? 0, b[0]?.length ?? 0];
  const sum = new Float64Array(width * other);
  a.forEach((row, n) => {
    row.forEach((x, i) => {
      for (let j = 0; j < other; j++) sum[i * other + j]! += x * b[n]![j]!;
    });
  });
  return sum;
}

/** Sums of everything that heads can be made from, the plain way. */
function allSums(features: Rows, scores: Rows, labels: readonly number[], expanded?: Rows): DeviceStatistics {
  return {
    ...statisticsOf(features, scores, labels, classes),
    crossScores: cross(features, scores),
    ...(expanded ? { expanded: momentsOf(expanded, labels, classes), crossExpanded: cross(features, expanded) } : {}),
  };
}

/** Normal points around a centre per class; the axes have different lengths. */
function cloud(count: number, width: number, seed: number, noise = 1): { rows: number[][]; labels: number[] } {
  const centres = random(2, "centres");
  const means = Array.from({ length: classes }, () => Array.from({ length: width }, () => centres.normal()));
  const source = random(seed, "cloud");
  const labels = Array.from({ length: count }, () => source.below(classes));
  return { rows: labels.map((label) => means[label]!.map((m, i) => 3 + m + noise * (1 + (i % 3)) * source.normal())), labels };
}

const relu = (weight: Tensor<"float32">, row: readonly number[]): number[] =>
  Array.from({ length: weight.shape[0]! }, (_, e) =>
    Math.max(
      0,
      row.reduce((sum, v, i) => sum + v * weight.data[e * row.length + i]!, 0),
    ),
  );

const scoresOf = ({ weight, bias }: { weight: ArrayLike<number>; bias: ArrayLike<number> }, row: readonly number[]): number[] =>
  Array.from({ length: bias.length }, (_, c) => row.reduce((sum, v, i) => sum + v * weight[c * row.length + i]!, bias[c]!));

const accuracy = (solution: { weight: ArrayLike<number>; bias: ArrayLike<number> }, rows: Rows, labels: readonly number[]): number =>
  rows.filter((row, n) => argMax(scoresOf(solution, row)) === labels[n]).length / rows.length;

describe("H3", () => {
  it("from blocks of sums is ridge regression on features and scores side by side", () => {
    const { rows, labels } = cloud(60, 5, 1);
    const { rows: scores } = cloud(60, 3, 7, 2);
    const both = rows.map((row, n) => [...row, ...scores[n]!]);
    const sums = allSums(rows, scores, labels);
    // One penalty for all: with a ridge of 0 the two scales do not matter.
    const joint = solveRidge(statisticsOf(both, scores, labels, classes), 0);
    const solution = solveRidge(sums, 0, "featuresAndScores");
    solution.weight.forEach((w, i) => {
      expect(w).toBeCloseTo(joint.weight[i]!, 8);
    });
    expect(meanSquaredError(solution, sums, "featuresAndScores")).toBeLessThan(meanSquaredError(solveRidge(sums, 0), sums));
  });

  it("does not ask of what scale the scores are: each kind of column has its own penalty", () => {
    const { rows, labels } = cloud(60, 4, 1);
    const { rows: scores } = cloud(60, 3, 7, 2);
    const larger = scores.map((row) => row.map((v) => 1000 * v));
    const [a, b] = [scores, larger].map((s) => solveRidge(allSums(rows, s, labels), 0.1, "featuresAndScores")) as [
      ReturnType<typeof solveRidge>,
      ReturnType<typeof solveRidge>,
    ];
    for (let c = 0; c < classes; c++) {
      for (let i = 0; i < 7; i++) expect((i < 4 ? 1 : 1000) * b.weight[c * 7 + i]!).toBeCloseTo(a.weight[c * 7 + i]!, 9);
    }
  });

  it("says by name what the statistics lack", () => {
    const { rows, labels } = cloud(9, 2, 1);
    const sums = statisticsOf(rows, rows, labels, classes);
    expect(() => solveRidge(sums, 0.1, "featuresAndScores")).toThrow(/no products of features and log-probabilities/);
    expect(() => solveRidge(sums, 0.1, "featuresAndExpansion")).toThrow(/no sums of an expansion/);
  });
});

describe("H4", () => {
  it("has the same weights in every process, of variance 1 / features, and others for another seed", () => {
    const weight = expansionWeights(5, 200, 50);
    expect(weight.shape).toEqual([200, 50]);
    expect(expansionWeights(5, 200, 50).data).toEqual(weight.data);
    expect(expansionWeights(6, 200, 50).data).not.toEqual(weight.data);
    const squares = weight.data.reduce((sum, w) => sum + w * w, 0);
    expect(squares / weight.data.length).toBeCloseTo(1 / 50, 3);
  });

  it("learns what no line can: a class that lies between the halves of another", () => {
    const source = random(3, "between");
    const rows = Array.from({ length: 600 }, () => [6 * source.uniform(), 6 * source.uniform()]);
    const labels = rows.map(([x = 0, y = 0]) => (Math.abs(x - y) < 1.5 ? 1 : 0));
    const expansion = expansionWeights(1, 40, 2);
    const expanded = rows.map((row) => relu(expansion, row));
    const sums = allSums(rows, rows, labels, expanded);
    const head = ridgeHead(sums, 1e-4, "H4");
    const both = rows.map((row, n) => [...row, ...expanded[n]!]);
    const of = (h: ReturnType<typeof ridgeHead>): { weight: ArrayLike<number>; bias: ArrayLike<number> } => ({
      weight: h.weight.data,
      bias: h.bias.data,
    });
    expect(accuracy(of(head), both, labels)).toBeGreaterThan(0.9);
    expect(accuracy(of(ridgeHead(sums, 1e-4)), rows, labels)).toBeLessThan(0.75);
  });

  it("needs the very expansion of its statistics", () => {
    const { rows, labels } = cloud(30, 2, 1);
    const expansion = expansionWeights(1, 4, 2);
    const statistics = allSums(
      rows,
      rows,
      labels,
      rows.map((row) => relu(expansion, row)),
    );
    const source = { harvested, classCount: classes, statistics };
    expect(makeHead("H4", { ...source, expansion }).expansion).toBe(expansion);
    expect(() => makeHead("H4", source)).toThrow(/summed with \(4\), got none/);
    expect(() => makeHead("H4", { ...source, expansion: expansionWeights(1, 5, 2) })).toThrow(/summed with \(4\), got 5/);
  });
});

describe("H5", () => {
  it("is the linear discriminant, by hand: two classes on a line", () => {
    // Class 0 at -1 and 1, class 1 at 3, 5, 3, 5: means 0 and 4, pooled variance 1, so log odds 4 x - 8 + log 2.
    const rows = [[-1], [1], [3], [5], [3], [5]];
    const { weight, bias } = solveDiscriminants(statisticsOf(rows, rows, [0, 0, 1, 1, 1, 1], classes), 0);
    expect(weight[1]! - weight[0]!).toBeCloseTo(4, 12);
    expect(bias[1]! - bias[0]!).toBeCloseTo(-8 + Math.log(2), 12);
  });

  it("never answers with a class without samples, and stays finite for features that never vary", () => {
    const rows = Array.from({ length: 8 }, (_, n) => [n % 2 === 0 ? 0 : 4 + (n % 4), 7]);
    const labels = rows.map((_, n) => n % 2);
    const solution = solveDiscriminants(statisticsOf(rows, rows, labels, classes), 0.01);
    expect([...solution.weight].every(Number.isFinite)).toBe(true);
    expect(accuracy(solution, rows, labels)).toBe(1);
    expect(Math.max(...solution.bias.slice(2))).toBeLessThan(-1e5);
  });

  it("is as right as can be on normal classes that share a covariance, where means were estimated from enough samples", () => {
    const [train, test] = [cloud(3000, 6, 1), cloud(1000, 6, 2)];
    const centres = random(2, "centres");
    const means = Array.from({ length: classes }, () => Array.from({ length: 6 }, () => centres.normal()));
    const best =
      test.rows.filter((row, n) => {
        const near = means.map((mean) => -mean.reduce((sum, m, i) => sum + ((row[i]! - 3 - m) / (1 + (i % 3))) ** 2, 0));
        return argMax(near) === test.labels[n];
      }).length / 1000;
    const solution = solveDiscriminants(statisticsOf(train.rows, train.rows, train.labels, classes), 1e-4);
    expect(accuracy(solution, test.rows, test.labels)).toBeGreaterThan(best - 0.02);
  });

  it("chooses the shrinkage that tells held-out samples apart", () => {
    const [train, heldOut, test] = [cloud(60, 40, 1, 2), cloud(600, 40, 2, 2), cloud(600, 40, 3, 2)];
    const sums = statisticsOf(train.rows, train.rows, train.labels, classes);
    const candidates = [1e-6, 1, 1e6];
    const { ridge, trials } = chooseShrinkage(sums, statisticsOf(heldOut.rows, heldOut.rows, heldOut.labels, classes), candidates);
    expect(trials.map((t) => t.ridge)).toEqual(candidates);
    const right = candidates.map((c) => accuracy(solveDiscriminants(sums, c), test.rows, test.labels));
    expect(right[candidates.indexOf(ridge)]).toBe(Math.max(...right));
    expect(ridge).not.toBe(1e-6);
  });
});

describe("a ridge chosen on held-out statistics", () => {
  const [train, heldOut] = [cloud(40, 20, 1, 2), cloud(500, 20, 2, 2)];
  const [seen, unseen] = [train, heldOut].map(({ rows, labels }) => allSums(rows, rows, labels)) as [DeviceStatistics, DeviceStatistics];
  const source = { harvested, classCount: classes, statistics: seen };

  it.each(["H2", "H3"] as const)("of %s is the best of the candidates, and the head is made from all samples", (type) => {
    const candidates = [1e-6, 0.3, 1e6];
    const { head, ridge } = makeTunedHead(type, { ...source, heldOut: unseen, candidates });
    expect(ridge).toBe(chooseRidge(seen, unseen, candidates, type === "H2" ? "features" : "featuresAndScores").ridge);
    expect(head).toEqual(makeTunedHead(type, { ...source, statistics: addStatistics(seen, unseen), ridge: ridge! }).head);
  });

  it("is the given one, or the default, where none is held out", () => {
    expect(makeTunedHead("H2", source).ridge).toBe(0.01);
    expect(makeTunedHead("H5", { ...source, ridge: 0.5 }).ridge).toBe(0.5);
    expect(makeTunedHead("H0", source).ridge).toBeUndefined();
  });
});

describe("sums of all kinds", () => {
  const dataset = randomDataset(21);
  const everySample = Array.from({ length: 21 }, (_, i) => i);
  const expansion = expansionWeights(4, 9, layout.features);
  const compute = async (): Promise<DeviceStatistics> => {
    const program = compileStatistics(harvested, classes, 8, { scores: true, expansion });
    await using session = await openSession(writeOnnx(program.graph));
    return await computeStatistics(session, program, openMemorySamples(dataset), everySample);
  };

  it("are what the branches give, multiplied out; and every head of them runs in one graph", async () => {
    await using session = await openSession(writeOnnx(branchGraph(harvested), { batchAxis: "N" }));
    const outputs = await session.run({ image: imagesOf(dataset) });
    const [features, scores] = [rowsOf(outputs.features), rowsOf(outputs.logProbabilities)];
    const expanded = features.map((row) => relu(expansion, row));
    const expected = arraysOf(allSums(features, scores, [...dataset.labels], expanded));
    const statistics = await compute();
    for (const [name, values] of arraysOf(statistics)) {
      const scale = Math.max(...expected.get(name)!.map(Math.abs));
      values.forEach((v, i) => {
        expect(Math.abs(v - expected.get(name)![i]!), name).toBeLessThan(1e-5 * scale);
      });
    }
    const rows: Record<HeadType, Rows> = {
      H0: scores,
      H1: scores,
      H2: features,
      H3: features.map((row, n) => [...row, ...scores[n]!]),
      H4: features.map((row, n) => [...row, ...expanded[n]!]),
      H5: features,
    };
    for (const type of headTypes) {
      const head = makeHead(type, { harvested, classCount: classes, statistics, expansion });
      await using model = await openSession(writeOnnx(assembleGlobal(harvested, head, { classNames }), { batchAxis: "N" }));
      const { logits } = await model.run({ image: imagesOf(dataset) });
      const scale = Math.max(...rowsOf(logits).flat().map(Math.abs));
      rowsOf(logits).forEach((row, n) => {
        scoresOf({ weight: head.weight.data, bias: head.bias.data }, rows[type][n]!).forEach((v, c) => {
          expect(Math.abs(v - row[c]!), type).toBeLessThan(1e-3 * scale);
        });
      });
    }
  });

  it("survive the way to a file and back, and have the size that is charged", async () => {
    const statistics = await compute();
    const bytes = encodeStatistics(statistics);
    expect(decodeStatistics(bytes, "x")).toEqual(statistics);
    const values = [...arraysOf(decodeStatistics(bytes, "x"))];
    const triangles = values.reduce((sum, [name, v]) => sum + (name.endsWith("gram") ? (v.length - Math.sqrt(v.length)) / 2 : 0), 0);
    expect(statisticsBytes(widthsOf(statistics), classes)).toBe(8 * (values.reduce((sum, [, v]) => sum + v.length, 0) - triangles));
  });

  it("add only where they are of the same kinds", async () => {
    const whole = await compute();
    const { crossScores: _, ...without } = whole;
    expect(() => addStatistics(whole, without)).toThrow(/cannot be added/);
  });

  it("cost the expansion, products and sums", () => {
    // 4 features, 3 scores, 2 classes; 4 x (4 + 2) + 3 x (3 + 2), and 4 x 3; 5 expanded: 4 x 5 twice, 5 x (5 + 2).
    const widths = { features: 4, logProbabilities: 3 };
    expect(statisticsMacs(widths, 2)).toBe(39);
    expect(statisticsMacs({ ...widths, scores: true }, 2)).toBe(51);
    expect(statisticsMacs({ ...widths, expanded: 5 }, 2)).toBe(39 + 40 + 35);
    const without = globalCost(subModels, "features", classes);
    const { features } = layout;
    expect(globalCost(subModels, "featuresAndExpansion", classes, 7)).toEqual({
      macs: without.macs + 7 * (features + classes),
      parameters: without.parameters + 7 * (features + classes),
    });
  });
});

describe("lost devices", () => {
  const source = random(8, "lost");
  const labels = Array.from({ length: 40 }, (_, n) => n % classes);
  const features = labels.map((label) => Array.from({ length: layout.features }, (_, i) => Math.abs(label - (i % 7) + source.normal())));
  const scores = labels.map(() => Array.from({ length: layout.logProbabilities }, () => -Math.abs(source.normal())));
  const all = allSums(features, scores, labels);

  it("leave the sums that the others would have without their branches", () => {
    fc.assert(
      fc.property(
        fc.subarray(
          layout.branches.map((b) => b.device),
          { minLength: 1, maxLength: layout.branches.length - 1 },
        ),
        (lost) => {
          const pick = (rows: Rows, kind: "features" | "logProbabilities"): Rows =>
            rows.map((row) => layout.branches.flatMap((b) => (lost.includes(b.device) ? [] : row.slice(...b[kind]))));
          const [f, s] = [pick(features, "features"), pick(scores, "logProbabilities")];
          expect(withoutBranches(all, layout, lost)).toEqual(allSums(f, s, labels));
        },
      ),
      { numRuns: 6 },
    );
  });

  it("get no weight in the head of the others, which answers as if they had never been", () => {
    const lost = ["board/2"];
    const rest = harvested.filter(({ subModel }) => subModel.device !== "board/2");
    const statistics = withoutBranches(all, layout, lost);
    for (const type of ["H0", "H1", "H2", "H3", "H5"] as const) {
      const head = makeHead(type, { harvested: rest, classCount: classes, statistics });
      const wide = overAllBranches(head, layout, lost);
      const width = wide.weight.shape[1]!;
      const kept = (row: readonly number[], kind: "features" | "logProbabilities"): readonly number[] =>
        layout.branches.flatMap((b) => (b.device === "board/2" ? [] : row.slice(...b[kind])));
      const joined = (f: readonly number[], s: readonly number[]): readonly number[] =>
        head.on === "features" ? f : head.on === "logProbabilities" ? s : [...f, ...s];
      features.forEach((row, n) => {
        const [full, part] = [joined(row, scores[n]!), joined(kept(row, "features"), kept(scores[n]!, "logProbabilities"))];
        expect(full).toHaveLength(width);
        const expected = scoresOf({ weight: head.weight.data, bias: head.bias.data }, part);
        scoresOf({ weight: wide.weight.data, bias: wide.bias.data }, full).forEach((v, c) => {
          expect(v).toBeCloseTo(expected[c]!, 6);
        });
      });
    }
  });

  it("are corrected as erasures of a code: with every class owned twice, losing any one device costs H0 nothing where branches are right", () => {
    // Four devices, pairs of which own one class each: the codewords have distance 2 at least.
    const pairs = [
      [0, 1],
      [0, 2],
      [0, 3],
      [1, 2],
      [1, 3],
      [2, 3],
    ];
    const fleet = untrained(
      "tiny",
      [0, 1, 2, 3].map((d) => ({ device: `d${d}`, taskSet: pairs.flatMap((pair, c) => (pair.includes(d) ? [c] : [])), widths: 0.3 })),
    );
    const says = (d: number, label: number): number[] => {
      const { taskSet } = fleet[d]!.subModel;
      const place = taskSet.indexOf(label) < 0 ? taskSet.length : taskSet.indexOf(label);
      return Array.from({ length: taskSet.length + 1 }, (_, i) => Math.log(i === place ? 0.9 : 0.1 / taskSet.length));
    };
    for (let lost = 0; lost < 4; lost++) {
      const rest = fleet.filter((_, d) => d !== lost);
      const head = makeHead("H0", { harvested: rest, classCount: classes });
      for (let label = 0; label < classes; label++) {
        const row = [0, 1, 2, 3].flatMap((d) => (d === lost ? [] : says(d, label)));
        expect(argMax(scoresOf({ weight: head.weight.data, bias: head.bias.data }, row))).toBe(label);
      }
    }
  });

  it("are named where they are not there, or nobody is left, or the head cannot do without them", () => {
    expect(() => withoutBranches(all, layout, ["toaster"])).toThrow(/No branch is of device "toaster".*phone, board\/2, server/);
    expect(() => withoutBranches(all, layout, ["phone", "board/2", "server"])).toThrow(/at least one must remain/);
    const head = { ...makeHead("H2", { harvested, classCount: classes, statistics: all }), on: "featuresAndExpansion" as const };
    expect(() => overAllBranches({ ...head, bias: floats("float32", [1], [0]) }, layout, ["phone"])).toThrow(/expansion of all branches/);
  });
});
