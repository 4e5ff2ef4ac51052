/** Devices with class mixtures of their own, drawn from a Dirichlet distribution. */
import { SheafError } from "../../util/errors.ts";
import type { Random } from "../../util/random.ts";
import { random, shuffle } from "../../util/random.ts";
import { samplesByClass } from "../dataset.ts";
import { partStart, requireDevices } from "./devices.ts";
import type { Partitioner } from "./partition.ts";

/** Logarithm of a Gamma(shape, 1) variate (Marsaglia and Tsang 2000); the logarithm, because a small shape gives values that underflow. */
function logGamma(shape: number, source: Random): number {
  if (shape < 1) return logGamma(shape + 1, source) + Math.log(1 - source.uniform()) / shape;
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = source.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - source.uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return Math.log(d * v);
  }
}

/** A draw from Dirichlet(concentrations); a concentration of 0 gives a share of 0. */
function drawMixture(concentrations: readonly number[], source: Random): number[] {
  const logs = concentrations.map((a) => (a > 0 ? logGamma(a, source) : Number.NEGATIVE_INFINITY));
  const largest = Math.max(...logs);
  const shares = logs.map((value) => Math.exp(value - largest));
  const sum = shares.reduce((a, b) => a + b, 0);
  return shares.map((share) => share / sum);
}

/** An index drawn with probability proportional to the weights, of which at least one is positive. */
function drawIndex(weights: readonly number[], source: Random): number {
  let left = source.uniform() * weights.reduce((a, b) => a + b, 0);
  let last = 0;
  for (const [index, weight] of weights.entries()) {
    if (weight <= 0) continue;
    last = index;
    left -= weight;
    if (left < 0) break;
  }
  return last;
}

/**
 * Hsu, Qi and Brown 2019 (Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification, section 3):
 * a device's class mixture is q ~ Dirichlet(alpha p), with p the class proportions of the whole set, and its samples are drawn from the classes by q
 * without replacement. Devices get equally many samples, to one. Where a device's classes are used up, it draws from what is left
 * (the paper leaves this open; it makes the result complete, at the price that the last devices follow their q less closely).
 * Own parts are disjoint and complete. No background. Note that alpha p sums to alpha: with ten equal classes, alpha = 1 means 0.1 for each class.
 */
export const dirichlet: Partitioner<"dirichlet"> = (labels, classCount, { deviceCount, alpha }, seed) => {
  requireDevices(deviceCount, labels.length, "dirichlet");
  if (!(alpha > 0 && Number.isFinite(alpha))) {
    throw new SheafError("config", `The dirichlet partition needs a finite alpha greater than 0, got ${alpha}.`);
  }
  const left = samplesByClass(labels, classCount).map((group, label) =>
    shuffle(group, random(seed, "partition", "dirichlet", "order", label)),
  );
  const prior = left.map((group) => group.length / labels.length);
  const own = Array.from({ length: deviceCount }, (_, device) => {
    const source = random(seed, "partition", "dirichlet", "device", device);
    const mixture = drawMixture(
      prior.map((share) => alpha * share),
      source,
    );
    const count = partStart(device + 1, deviceCount, labels.length) - partStart(device, deviceCount, labels.length);
    const samples = new Uint32Array(count);
    for (let i = 0; i < count; i++) {
      const open = mixture.map((share, label) => (left[label]!.length > 0 ? share : 0));
      const weights = open.some((weight) => weight > 0) ? open : left.map((group) => group.length);
      samples[i] = left[drawIndex(weights, source)]!.pop()!;
    }
    return samples.sort();
  });
  return { own, background: own.map(() => new Uint32Array()) };
};
