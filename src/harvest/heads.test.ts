import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { random } from "../util/random.ts";
import { solvePositiveDefinite } from "./cholesky.ts";
import { columnOf, layOut } from "./harvested.ts";
import type { Head } from "./heads.ts";
import { branchScales, freeHead, logPriors, rescaledHead, weighted } from "./logProbabilityHeads.ts";
import { makeHead } from "./makeHead.ts";
import { argMax, classNames, parts, statisticsOf, untrained } from "./parts.fixture.ts";
import { chooseRidge, meanSquaredError, ridgeHead, solveRidge } from "./ridgeHead.ts";
import { addStatistics, type DeviceStatistics } from "./statistics.ts";

const classes = classNames.length;

/** Gaussian features around a mean per class, with labels, and log-probabilities of no meaning. */
function cloud(count: number, width: number, seed: number, noise = 1): { rows: number[][]; labels: number[] } {
  const centres = random(11, "centres");
  const means = Array.from({ length: classes }, () => Array.from({ length: width }, () => centres.normal()));
  const source = random(seed, "cloud");
  const labels = Array.from({ length: count }, () => source.below(classes));
  return { rows: labels.map((label) => means[label]!.map((m) => 3 + m + noise * source.normal())), labels };
}

const pooled = (rows: readonly (readonly number[])[], labels: readonly number[]): DeviceStatistics =>
  statisticsOf(
    rows,
    rows.map(() => [0]),
    labels,
    classes,
  );

/** Ridge regression straight from the rows: Gaussian elimination on the augmented system with an unpenalized intercept. */
function directRidge(
  rows: readonly (readonly number[])[],
  labels: readonly number[],
  ridge: number,
): { weight: number[][]; bias: number[] } {
  const width = rows[0]!.length;
  const n = rows.length;
  const mean = Array.from({ length: width }, (_, i) => rows.reduce((s, r) => s + r[i]!, 0) / n);
  const variance = mean.map((m, i) => rows.reduce((s, r) => s + (r[i]! - m) ** 2, 0) / n);
  const lambda = (ridge * variance.reduce((a, b) => a + b, 0)) / width;
  const augmented = rows.map((r) => [...r, 1]);
  const system = Array.from({ length: width + 1 }, (_, i) => [
    ...Array.from(
      { length: width + 1 },
      (_, j) => augmented.reduce((s, r) => s + r[i]! * r[j]!, 0) + (i === j && i < width ? n * lambda : 0),
    ),
    ...Array.from({ length: classes }, (_, c) => augmented.reduce((s, r, k) => s + (labels[k] === c ? r[i]! : 0), 0)),
  ]);
  for (let column = 0; column <= width; column++) {
    const pivot =
      system.slice(column).reduce((best, row, i, all) => (Math.abs(row[column]!) > Math.abs(all[best]![column]!) ? i : best), 0) + column;
    [system[column], system[pivot]] = [system[pivot]!, system[column]!];
    for (const [i, row] of system.entries()) {
      if (i === column) continue;
      const factor = row[column]! / system[column]![column]!;
      for (let j = column; j < row.length; j++) row[j]! -= factor * system[column]![j]!;
    }
  }
  const solution = system.map((row, i) => row.slice(width + 1).map((v) => v / row[i]!));
  return { weight: Array.from({ length: classes }, (_, c) => solution.slice(0, width).map((r) => r[c]!)), bias: solution[width]! };
}

describe("H2", () => {
  it("from sums over any split of the data equals ridge regression on the pooled features", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 20, max: 60 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer(),
        fc.constantFrom(1e-3, 0.01, 1),
        (width, count, devices, seed, ridge) => {
          const { rows, labels } = cloud(count, width, seed);
          const owner = labels.map((_, i) => random(seed, "owner", i).below(devices));
          const split = Array.from({ length: devices }, (_, d) => {
            const own = labels.flatMap((_, i) => (owner[i] === d ? [i] : []));
            return own.length > 0
              ? pooled(
                  own.map((i) => rows[i]!),
                  own.map((i) => labels[i]!),
                )
              : undefined;
          });
          const sums = split.filter((s) => s !== undefined).reduce(addStatistics);
          const { weight, bias } = solveRidge(sums, ridge);
          const direct = directRidge(rows, labels, ridge);
          const expected = [...direct.weight.flat(), ...direct.bias];
          const scale = Math.max(...expected.map(Math.abs));
          [...weight, ...bias].forEach((v, i) => {
            expect(Math.abs(v - expected[i]!)).toBeLessThan(1e-8 * scale);
          });
        },
      ),
      { numRuns: 40 },
    );
  });

  it("knows its error on other samples from their sums, and chooses the ridge by it", () => {
    const train = cloud(40, 20, 1, 2);
    const test = cloud(500, 20, 2, 2);
    const [seen, unseen] = [pooled(train.rows, train.labels), pooled(test.rows, test.labels)];
    const solution = solveRidge(seen, 0.1);
    let squares = 0;
    test.rows.forEach((row, n) => {
      for (let c = 0; c < classes; c++) {
        const score = row.reduce((s, v, i) => s + v * solution.weight[c * 20 + i]!, solution.bias[c]!);
        squares += (score - (test.labels[n] === c ? 1 : 0)) ** 2;
      }
    });
    expect(meanSquaredError(solution, unseen)).toBeCloseTo(squares / (500 * classes), 10);
    const { ridge, trials } = chooseRidge(seen, unseen, [1e-6, 0.3, 1e6]);
    expect(ridge).toBe(0.3);
    expect(trials.map((t) => t.ridge)).toEqual([1e-6, 0.3, 1e6]);
    expect(Math.min(...trials.map((t) => t.heldOutError))).toBe(trials[1]!.heldOutError);
  });

  it("scales logits without changing a decision, so that probabilities tell how sure it is", () => {
    const { rows, labels } = cloud(400, 12, 3);
    const statistics = pooled(rows, labels);
    const solution = solveRidge(statistics, 0.01);
    const head = ridgeHead(statistics, 0.01);
    expect(head).toMatchObject({ type: "H2", on: "features" });
    const sure = rows.map((row) => {
      const scores = classNames.map((_, c) => row.reduce((s, v, i) => s + v * solution.weight[c * 12 + i]!, solution.bias[c]!));
      const logits = apply(head, row);
      expect(argMax(logits)).toBe(argMax(scores));
      return 1 / logits.reduce((s, v) => s + Math.exp(v - Math.max(...logits)), 0);
    });
    const accuracy = rows.filter((row, n) => argMax(apply(head, row)) === labels[n]).length / rows.length;
    expect(accuracy).toBeGreaterThan(0.8);
    expect(Math.abs(sure.reduce((a, b) => a + b, 0) / sure.length - accuracy)).toBeLessThan(0.1);
  });

  it("stays finite for features that never vary and classes without samples", () => {
    const statistics = pooled(
      Array.from({ length: 9 }, () => [0, 2]),
      Array.from({ length: 9 }, (_, i) => i % 3),
    );
    const { weight, bias } = solveRidge(statistics, 0.01);
    expect([...weight].every((w) => w === 0)).toBe(true);
    expect([...bias]).toEqual([1 / 3, 1 / 3, 1 / 3, 0, 0, 0]);
  });

  it("refuses no samples, a negative ridge and a singular system", () => {
    const none = statisticsOf([], [], [], classes);
    expect(() => solveRidge(none, 0.01)).toThrow(/at least one sample/);
    const { rows, labels } = cloud(10, 3, 1);
    expect(() => solveRidge(pooled(rows, labels), -1)).toThrow(/at least 0, got -1/);
    expect(() => solvePositiveDefinite(Float64Array.of(1, 0, 2, 1), 2, Float64Array.of(1, 1))).toThrow(/not positive definite/);
    expect(() => chooseRidge(none, none, [])).toThrow(/at least one candidate/);
  });
});

function apply({ weight, bias }: Head, row: readonly number[]): number[] {
  const width = row.length;
  return Array.from(bias.data, (b, c) => row.reduce((s, v, i) => s + v * weight.data[c * width + i]!, b));
}

describe("Cholesky", () => {
  it("solves systems of any size", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 23 }), fc.integer(), (n, seed) => {
        const source = random(seed, "matrix");
        const factor = Array.from({ length: n * n }, () => source.normal());
        const matrix = Float64Array.from({ length: n * n }, (_, k) => {
          const [i, j] = [Math.floor(k / n), k % n];
          let sum = i === j ? 1 : 0;
          for (let l = 0; l < n; l++) sum += factor[i * n + l]! * factor[j * n + l]!;
          return sum;
        });
        const x = Float64Array.from({ length: 2 * n }, () => source.normal());
        const b = Float64Array.from({ length: 2 * n }, (_, k) => {
          let sum = 0;
          for (let l = 0; l < n; l++) sum += matrix[(k % n) * n + l]! * x[Math.floor(k / n) * n + l]!;
          return sum;
        });
        solvePositiveDefinite(matrix, n, b).forEach((v, k) => {
          expect(v).toBeCloseTo(x[k]!, 8);
        });
      }),
    );
  });
});

describe("H0", () => {
  it("is a matrix of zeros and ones, by hand", () => {
    const { weight, bias } = freeHead(
      untrained().map((h) => h.subModel),
      classes,
    );
    // Columns: phone 0 1 2 other | board 2 3 4 other | server 4 5 other.
    const rows = ["10000001001", "01000001001", "00101000001", "00010100001", "00010010100", "00010001010"];
    expect(Array.from({ length: classes }, (_, c) => weight.data.slice(c * 11, (c + 1) * 11).join(""))).toEqual(rows);
    expect([...bias.data]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it("refuses a class that does not exist", () => {
    const subModels = untrained().map((h) => h.subModel);
    expect(() => freeHead(subModels, 5)).toThrow(/"server" owns class 5/);
  });
});

describe("H1", () => {
  const harvested = untrained();
  const { branches, logProbabilities: width } = layOut(harvested.map((h) => h.subModel));

  it("takes class shares by the rule of succession, finite for classes never seen", () => {
    const priors = logPriors(harvested.map((h) => ({ ...h, classCounts: h.classCounts.map((n) => (n === 100 ? 99 : 0)) })));
    // phone: 3 x 99 own samples, no background; 4 columns.
    [100, 100, 100, 1].forEach((count, i) => {
      expect(priors[i]).toBeCloseTo(Math.log(count / 301), 12);
    });
    expect(priors.every(Number.isFinite)).toBe(true);
  });

  it("is H0 where priors are equal and scales are 1", () => {
    const equal = weighted(branches, width, classes, new Float64Array(width).fill(Math.log(1 / 4)), new Float64Array(parts.length).fill(1));
    const h0 = freeHead(
      harvested.map((h) => h.subModel),
      classes,
    );
    expect(equal.weight).toEqual(h0.weight);
    equal.bias.data.forEach((v) => {
      expect(v).toBeCloseTo(0, 12);
    });
  });

  it("gives the same answers whatever part of the priors logit adjustment took out of the branches", () => {
    const full = logPriors(harvested);
    const likelihoods = random(6, "likelihoods");
    const evidence = Array.from(full, () => 3 * likelihoods.normal());
    const answers = [0, 0.4, 1].map((tau) => {
      // The optimum of the adjusted loss: likelihoods times the priors to the power of 1 - tau (Menon et al. 2021, section 5.1).
      const row = branches.flatMap(({ logProbabilities: [start, end] }) => {
        const logits = evidence.slice(start, end).map((value, i) => value + (1 - tau) * (full[start + i] as number));
        const sum = Math.log(logits.reduce((total, value) => total + Math.exp(value), 0));
        return logits.map((value) => value - sum);
      });
      const shift = logPriors(harvested.map((h) => ({ ...h, logitAdjustment: tau })));
      const scores = apply(weighted(branches, width, classes, shift, new Float64Array(parts.length).fill(1)), row);
      return scores.map((score) => score - (scores[0] as number));
    });
    for (const answer of answers) {
      answer.forEach((score, c) => {
        expect(score).toBeCloseTo(answers[0]?.[c] as number, 5);
      });
    }
    // The priors are not equal, so that something had to be taken.
    expect(new Set(full).size).toBeGreaterThan(1);
  });

  /** Log-probabilities of branches that see the class through noise; the board is deaf where `deaf` is set, and shouts. */
  function judgements(count: number, deaf: boolean): { rows: number[][]; labels: number[] } {
    const source = random(4, "judgements");
    const labels = Array.from({ length: count }, () => source.below(classes));
    const rows = labels.map((label) =>
      branches.flatMap(({ device, taskSet }) => {
        const loud = device === "board/2" && deaf ? 6 : 1;
        const truth = device === "board/2" && deaf ? source.below(classes) : label;
        const place = taskSet.indexOf(truth);
        const logits = [...taskSet.keys(), taskSet.length].map(
          (i) => loud * ((i === (place < 0 ? taskSet.length : place) ? 2 : 0) + source.normal()),
        );
        const total = Math.log(logits.reduce((s, v) => s + Math.exp(v), 0));
        return logits.map((v) => v - total);
      }),
    );
    return { rows, labels };
  }
  const statisticsFor = ({ rows, labels }: { rows: number[][]; labels: number[] }): DeviceStatistics =>
    statisticsOf(
      rows.map(() => [0]),
      rows,
      labels,
      classes,
    );

  it("fits each branch by least squares: no other factor leaves less error", () => {
    const data = judgements(200, false);
    const scales = branchScales(branches, statisticsFor(data));
    expect(scales.reduce((a, b) => a + b, 0) / scales.length).toBeCloseTo(1, 12);
    // The straight way: scores and labels, centred over samples and over classes, value by value.
    const centre = (rows: readonly (readonly number[])[]): number[] => {
      const means = classNames.map((_, c) => rows.reduce((sum, row) => sum + row[c]!, 0) / rows.length);
      return rows.flatMap((row) => {
        const off = row.map((v, c) => v - means[c]!);
        return off.map((v) => v - off.reduce((a, b) => a + b, 0) / classes);
      });
    };
    const truth = centre(data.labels.map((label) => classNames.map((_, c) => (c === label ? 1 : 0))));
    const slopes = branches.map((branch) => {
      const scores = centre(data.rows.map((row) => classNames.map((_, c) => row[columnOf(branch, c)]!)));
      const error = (slope: number): number => scores.reduce((sum, v, i) => sum + (slope * v - truth[i]!) ** 2, 0);
      const slope = scores.reduce((sum, v, i) => sum + v * truth[i]!, 0) / scores.reduce((sum, v) => sum + v * v, 0);
      for (const change of [0.99, 1.01]) expect(error(slope * change)).toBeGreaterThan(error(slope));
      return slope;
    });
    const mean = slopes.reduce((a, b) => a + b, 0) / slopes.length;
    slopes.forEach((slope, d) => {
      expect(scales[d]).toBeCloseTo(slope / mean, 10);
    });
  });

  it("turns a branch that knows nothing and shouts down, and gains by it", () => {
    const head = rescaledHead(harvested, classes, statisticsFor(judgements(600, true)));
    const h0 = freeHead(
      harvested.map((h) => h.subModel),
      classes,
    );
    const { rows, labels } = judgements(600, true);
    const accuracy = (of: Head): number => rows.filter((row, n) => argMax(apply(of, row)) === labels[n]).length / rows.length;
    expect(accuracy(head)).toBeGreaterThan(accuracy(h0) + 0.1);
  });

  it("refuses statistics of other branches", () => {
    const data = judgements(5, false);
    expect(() => rescaledHead(harvested.slice(1), classes, statisticsFor(data))).toThrow(/run the statistics pass over these branches/);
  });
});

describe("the table of heads", () => {
  it("asks for statistics where a head needs them", () => {
    const source = { harvested: untrained(), classCount: classes };
    expect(makeHead("H0", source).type).toBe("H0");
    expect(() => makeHead("H1", source)).toThrow(/Head H1 needs statistics/);
    expect(() => makeHead("H2", source)).toThrow(/Head H2 needs statistics/);
  });
});
