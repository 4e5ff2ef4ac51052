import { describe, expect, test } from "vitest";
import { random } from "../util/random.ts";
import { channelStatistics, samplesByClass } from "./dataset.ts";
import { drawGlyph, drawGlyphs, glyphClassNames, glyphShape } from "./glyphs.ts";

const size = 3072;

describe("drawGlyphs", () => {
  test("holds each class equally often and shares its memory", () => {
    const { labels, pixels } = drawGlyphs(40, { seed: 1, split: "train" });
    expect(samplesByClass(labels, 10).map((group) => group.length)).toEqual(new Array(10).fill(4));
    expect(glyphClassNames).toHaveLength(10);
    expect(pixels).toHaveLength(40 * size);
    expect(pixels.buffer).toBeInstanceOf(SharedArrayBuffer);
  });

  test("a sample depends on seed, split and index alone", () => {
    const many = drawGlyphs(30, { seed: 5, split: "train" }).pixels;
    const single = new Uint8Array(size);
    expect(drawGlyph(single, 5, "train", 27)).toBe(7);
    expect(single).toEqual(Uint8Array.from(many.subarray(27 * size, 28 * size)));
    const others = [new Uint8Array(size), new Uint8Array(size), new Uint8Array(size)] as const;
    drawGlyph(others[0], 6, "train", 27);
    drawGlyph(others[1], 5, "test", 27);
    drawGlyph(others[2], 5, "train", 37);
    for (const other of others) expect(other).not.toEqual(single);
  });

  test("colour and brightness say nothing: every class has about the same channel means and deviations", () => {
    const { labels, pixels } = drawGlyphs(4000, { seed: 2, split: "train" });
    const overall = channelStatistics(pixels, glyphShape);
    for (const group of samplesByClass(labels, 10)) {
      const own = Uint8Array.from(group.flatMap((index) => [...pixels.subarray(index * size, (index + 1) * size)]));
      const { mean, std } = channelStatistics(own, glyphShape);
      for (let channel = 0; channel < 3; channel++) {
        // The mean of 400 images with a deviation of about 60 between them has a standard error of 3.
        expect(Math.abs((mean[channel] ?? 0) - (overall.mean[channel] ?? 0))).toBeLessThan(15);
        expect(Math.abs((std[channel] ?? 0) - (overall.std[channel] ?? 0))).toBeLessThan(10);
      }
    }
  });
});

/** Softmax regression on standardised pixels by plain stochastic gradient descent; returns the accuracy on training and test samples. */
function linearAccuracy(trainCount: number, testCount: number, epochs: number): { train: number; test: number } {
  const train = drawGlyphs(trainCount, { seed: 1, split: "train" });
  const held = drawGlyphs(testCount, { seed: 1, split: "test" });
  const { mean, std } = channelStatistics(train.pixels, glyphShape);
  const weights = new Float64Array(10 * (size + 1));
  const input = new Float64Array(size + 1).fill(1);
  const scores = new Float64Array(10);
  const score = (pixels: Uint8Array, index: number): number => {
    for (let i = 0; i < size; i++) {
      const channel = i >> 10;
      input[i] = (pixels[index * size + i]! - mean[channel]!) / std[channel]!;
    }
    let best = 0;
    for (let label = 0; label < 10; label++) {
      let sum = 0;
      const row = label * (size + 1);
      for (let i = 0; i <= size; i++) sum += weights[row + i]! * input[i]!;
      scores[label] = sum;
      if (sum > scores[best]!) best = label;
    }
    return best;
  };
  const accuracy = ({ labels, pixels }: typeof train): number =>
    labels.filter((label, i) => score(pixels, i) === label).length / labels.length;
  const source = random(1, "linear");
  for (let step = 0; step < epochs * trainCount; step++) {
    const index = source.below(trainCount);
    const rate = 0.001 * (1 - step / (epochs * trainCount));
    const best = scores[score(train.pixels, index)]!;
    const exponentials = scores.map((value) => Math.exp(value - best));
    const sum = exponentials.reduce((a, b) => a + b, 0);
    for (let label = 0; label < 10; label++) {
      const pull = rate * (exponentials[label]! / sum - (label === train.labels[index] ? 1 : 0));
      const row = label * (size + 1);
      for (let i = 0; i <= size; i++) weights[row + i]! -= pull * input[i]!;
    }
  }
  return { train: accuracy(train), test: accuracy(held) };
}

test("a linear model on the pixels stays under 35 %", () => {
  const { train, test: held } = linearAccuracy(4000, 1000, 3);
  // It does learn what it can (chance is 10 %), or the bound would prove nothing.
  expect(train).toBeGreaterThan(0.15);
  expect(held).toBeLessThan(0.35);
});
