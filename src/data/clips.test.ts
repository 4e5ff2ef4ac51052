import { describe, expect, test } from "vitest";
import { openExtractor } from "../features/extract.ts";
import { defaultAudioFeatures, featureShape } from "../features/features.ts";
import { type Random, random } from "../util/random.ts";
import { fillBatch, fillBatchNchw } from "./augment.ts";
import { type AudioAugmentation, checkAudioAugmentation, fillWaves } from "./clips.ts";
import type { Dataset } from "./dataset.ts";
import { openMemorySamples } from "./samples.ts";

const features = { ...defaultAudioFeatures, fftSize: 256, windowMs: 10, hopMs: 10, melBands: 8 };
const clipSamples = 800;
const shape = featureShape(features, clipSamples);
const count = 3;

/** Three clips of tones, and quiet noise. */
function toneSet(): Dataset {
  const values = new Int16Array(count * clipSamples);
  for (let n = 0; n < count; n++) {
    for (let i = 0; i < clipSamples; i++)
      values[n * clipSamples + i] = Math.round(12000 * Math.sin((2 * Math.PI * (n + 1) * 700 * i) / 16000));
  }
  const source = random(1, "noise");
  const noise = Int16Array.from({ length: 3 * clipSamples }, () => source.below(4000) - 2000);
  return {
    name: "tones",
    classNames: ["low", "mid", "high"],
    shape,
    labels: Uint16Array.of(0, 1, 2),
    store: { type: "memory", values },
    audio: { features, clipSamples, noise },
    mean: [-3],
    std: [2],
    provenance: { source: "tones", sha256: "0" },
  };
}

const dataset = toneSet();
const samples = openMemorySamples(dataset);
const none: AudioAugmentation = { timeShiftMs: 0, noiseProbability: 0, noiseVolume: 0, timeMaskFrames: 0, frequencyMaskBands: 0, masks: 0 };
const size = shape.height * shape.width;

/** Gives out scripted numbers and fails when they run out. */
function scripted(values: number[]): Random {
  const next = (): number => {
    const value = values.shift();
    if (value === undefined) throw new Error("more draws than scripted");
    return value;
  };
  return { int32: next, uniform: next, normal: next, below: next };
}

function one(audio: AudioAugmentation, ...draws: number[]): Float32Array {
  const into = new Float32Array(size);
  fillBatch(into, samples, [1], { crop: 0, flip: false, cutout: 0, audio }, scripted(draws));
  return into;
}

function featuresOf(wave: Float32Array): Float32Array {
  const into = new Float32Array(size);
  openExtractor(features, clipSamples).extract(wave, into);
  return into;
}

const wave = (): Float32Array => {
  const into = new Float32Array(clipSamples);
  fillWaves(into, samples, [1]);
  return into;
};

describe("batches of clips", () => {
  test("hold the features of the clips, in both orders, normalised when asked", () => {
    const innermost = new Float32Array(count * size);
    const outermost = new Float32Array(count * size);
    fillBatch(innermost, samples, [0, 1, 2], undefined, scripted([]), dataset);
    fillBatchNchw(outermost, samples, [0, 1, 2], dataset);
    const plain = featuresOf(wave());
    for (let i = 0; i < size; i++) {
      expect(innermost[i * count + 1]).toBe(outermost[size + i]);
      expect(innermost[i * count + 1]).toBeCloseTo(((plain[i] ?? 0) + 3) / 2, 5);
    }
  });

  test("without augmentation nothing is drawn", () => {
    expect(one(none)).toEqual(featuresOf(wave()));
  });

  test("a shift moves the wave and leaves silence", () => {
    const shifted = new Float32Array(clipSamples);
    shifted.set(wave().subarray(0, clipSamples - 160), 160);
    // 20 ms either way are 320 samples: draw 480 is 160 later.
    expect(one({ ...none, timeShiftMs: 20 }, 480)).toEqual(featuresOf(shifted));
    const earlier = new Float32Array(clipSamples);
    earlier.set(wave().subarray(320), 0);
    expect(one({ ...none, timeShiftMs: 20 }, 0)).toEqual(featuresOf(earlier));
  });

  test("noise comes from the drawn place, at the drawn volume, or not at all", () => {
    const noisy = { ...none, noiseProbability: 0.5, noiseVolume: 0.4 };
    expect(one(noisy, 0.5)).toEqual(featuresOf(wave()));
    const mixed = wave();
    for (let i = 0; i < clipSamples; i++) mixed[i] = (mixed[i] ?? 0) + ((0.4 * 0.75) / 32768) * (dataset.audio?.noise[100 + i] ?? 0);
    const got = one(noisy, 0.49, 100, 0.75);
    const expected = featuresOf(mixed);
    for (let i = 0; i < size; i++) expect(got[i]).toBeCloseTo(expected[i] ?? 0, 4);
  });

  test("masks cover whole frames and bands with the set's mean", () => {
    const plain = featuresOf(wave());
    const got = one({ ...none, timeMaskFrames: 2, frequencyMaskBands: 3, masks: 1 }, 2, 1, 3, 4);
    for (let y = 0; y < shape.height; y++) {
      for (let x = 0; x < shape.width; x++) {
        const masked = y === 1 || y === 2 || (x >= 4 && x < 7);
        expect(got[y * shape.width + x]).toBe(masked ? -3 : plain[y * shape.width + x]);
      }
    }
  });

  test("samples draw one after another, so that a batch is its samples", () => {
    const audio: AudioAugmentation = {
      timeShiftMs: 10,
      noiseProbability: 0.7,
      noiseVolume: 0.3,
      timeMaskFrames: 3,
      frequencyMaskBands: 3,
      masks: 2,
    };
    const whole = new Float32Array(count * size);
    fillBatch(whole, samples, [2, 0, 1], { crop: 0, flip: false, cutout: 0, audio }, random(9));
    const stream = random(9);
    [2, 0, 1].forEach((index, n) => {
      const single = new Float32Array(size);
      fillBatch(single, samples, [index], { crop: 0, flip: false, cutout: 0, audio }, stream);
      for (let i = 0; i < size; i++) expect(whole[i * count + n]).toBe(single[i]);
    });
  });
});

test("checkAudioAugmentation names the value that is out of range", () => {
  const audio = { features, clipSamples, noise: new Int16Array(clipSamples) };
  expect(() => checkAudioAugmentation({ ...none, timeShiftMs: 51 }, audio, shape)).toThrow(
    /audio\.timeShiftMs must be a number from 0 to 50, got 51/,
  );
  expect(() => checkAudioAugmentation({ ...none, timeMaskFrames: 1.5 }, audio, shape)).toThrow(/timeMaskFrames must be a whole number/);
  expect(() => checkAudioAugmentation({ ...none, noiseProbability: 2 }, audio, shape)).toThrow(/noiseProbability/);
  expect(() => checkAudioAugmentation(none, audio, shape)).not.toThrow();
});
