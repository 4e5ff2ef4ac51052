import { describe, expect, it } from "vitest";
import { random } from "../util/random.ts";
import { floats } from "../util/tensor.ts";
import { type Harvested, layOut } from "./harvested.ts";
import type { Head, HeadType } from "./heads.ts";
import { branchScales, unownedBias } from "./logProbabilityHeads.ts";
import { makeHead } from "./makeHead.ts";
import { argMax, classNames, statisticsOf, untrained } from "./parts.fixture.ts";
import { ridgeHead } from "./ridgeHead.ts";

const classes = classNames.length;
/** Nobody owns class 5. */
const unowned = 5;

/** Branches that saw all samples of their classes and a share `rho` of the others. */
const branches = (rho: number): readonly Harvested[] =>
  untrained("tiny", [
    { device: "phone", taskSet: [0, 1, 2], widths: 0.3 },
    { device: "board", taskSet: [2, 3], widths: 0.3 },
    { device: "server", taskSet: [4], widths: 0.3 },
  ]).map((harvested) => ({
    ...harvested,
    classCounts: classNames.map((_, c) => (harvested.subModel.taskSet.includes(c) ? 1000 : 1000 * rho)),
  }));

const layout = layOut(branches(1).map(({ subModel }) => subModel));

/** Overlapping Gaussian classes, and what branches that know them say with the priors of their training: log p of each own class and of "other". */
function knownBranches(
  rho: number,
  spread: number,
): { points: number[][]; logProbabilities: number[][]; labels: number[]; best: number[] } {
  const source = random(5, "points");
  const centres = Array.from({ length: classes }, () => Array.from({ length: 5 }, () => spread * source.normal()));
  const labels = Array.from({ length: 3000 }, (_, n) => n % classes);
  const points = labels.map((label) => centres[label]!.map((m) => m + source.normal()));
  const densities = points.map((x) => centres.map((centre) => Math.exp(-0.5 * centre.reduce((sum, m, i) => sum + (x[i]! - m) ** 2, 0))));
  const logProbabilities = densities.map((density) =>
    layout.branches.flatMap(({ taskSet }) => {
      const other = rho * density.reduce((sum, value, c) => (taskSet.includes(c) ? sum : sum + value), 0);
      const all = [...taskSet.map((c) => density[c]!), other];
      const total = all.reduce((a, b) => a + b, 0);
      return all.map((p) => Math.log(p / total + 1e-12));
    }),
  );
  return { points, logProbabilities, labels, best: densities.map(argMax) };
}

const answers = ({ weight, bias }: Head, rows: readonly (readonly number[])[]): number[] =>
  rows.map((row) =>
    argMax(Array.from(bias.data, (b, c) => row.reduce((sum, x, i) => sum + x * Number(weight.data[c * row.length + i]), Number(b)))),
  );

/** How often the unowned class is answered, over how often it comes. */
const said = (predicted: readonly number[]): number => (predicted.filter((c) => c === unowned).length * classes) / predicted.length;

describe("a class that no device owns", () => {
  it.each(
    (["H0", "H1", "H2"] as const).flatMap((type) =>
      [1, 0.25, 0.1].flatMap((rho) => [1, 1.6].map((spread) => [type, rho, spread] as const)),
    ),
  )("is answered by %s about as often as it comes, and as rightly as can be: rho %f, spread %f", (type: HeadType, rho, spread) => {
    const harvested = branches(rho);
    const { points, logProbabilities, labels, best } = knownBranches(rho, spread);
    const statistics = statisticsOf(points, logProbabilities, labels, classes);
    const predicted = answers(makeHead(type, { harvested, classCount: classes, statistics }), type === "H2" ? points : logProbabilities);
    const share = (of: readonly number[]): number => of.filter((c, n) => c === labels[n]).length / labels.length;
    expect(share(predicted)).toBeGreaterThan(share(best) - 0.03);
    expect(said(predicted)).toBeGreaterThan(0.8);
    expect(said(predicted)).toBeLessThan(1.1);
  });

  it("would be answered too often by H0 and too seldom by H1 without its bias, where classes overlap", () => {
    const harvested = branches(1);
    const { points, logProbabilities, labels } = knownBranches(1, 0.6);
    const statistics = statisticsOf(points, logProbabilities, labels, classes);
    const [h0, h1] = [makeHead("H0", { harvested, classCount: classes }), makeHead("H1", { harvested, classCount: classes, statistics })];
    const without = (head: Head): Head => {
      const extra = unownedBias(
        harvested,
        classes,
        head.type === "H1",
        head.type === "H1" ? branchScales(layout.branches, statistics) : undefined,
      );
      return {
        ...head,
        bias: floats(
          "float32",
          [classes],
          Array.from(head.bias.data, (b, c) => Number(b) - extra[c]!),
        ),
      };
    };
    expect(said(answers(without(h0), logProbabilities))).toBeGreaterThan(2);
    expect(said(answers(without(h1), logProbabilities))).toBeLessThan(0.4);
    for (const head of [h0, h1]) expect(Math.abs(said(answers(head, logProbabilities)) - 1)).toBeLessThan(0.25);
  });

  it("is never the answer of H2 without samples of it in the statistics", () => {
    const { points, logProbabilities, labels } = knownBranches(1, 2);
    const seen = labels.flatMap((label, n) => (label === unowned ? [] : [n]));
    const pick = <T>(rows: readonly T[]): T[] => seen.map((n) => rows[n] as T);
    const without = statisticsOf(pick(points), pick(logProbabilities), pick(labels), classes);
    expect(answers(ridgeHead(without), points)).not.toContain(unowned);
  });
});

describe("unownedBias", () => {
  it("is what stands in docs/method.md, by hand", () => {
    // Balanced classes: the priors' difference is log n. Owners of the five owned classes: phone three times, board twice, server once.
    const [phone, board, server] = [3, 4, 5].map((n) => -Math.log(n) / 2) as [number, number, number];
    const bias = unownedBias(branches(1), classes, false);
    expect(bias[unowned]).toBeCloseTo((3 * phone + 2 * board + server) / 5, 2);
    expect([...bias.slice(0, unowned)]).toEqual([0, 0, 0, 0, 0]);
    // In H1 the priors are gone already, which is half too much.
    expect(unownedBias(branches(0.25), classes, true, Float64Array.of(1, 0.5, 2))[unowned]).toBeCloseTo(
      -(3 * phone + board + 2 * server) / 5,
      12,
    );
  });

  it("is 0 where every class has an owner, and where no branch saw background", () => {
    expect([...unownedBias(untrained(), classes, false)]).toEqual(Array(classes).fill(0));
    expect([...unownedBias(branches(0), classes, false)]).toEqual(Array(classes).fill(0));
  });
});
