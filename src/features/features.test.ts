import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { audioMetadata, readAudioMetadata } from "./audioInput.ts";
import { type AudioFeatures, checkAudioFeatures, defaultAudioFeatures, featureShape, frameCount } from "./features.ts";
import { dctMatrix, hannWindow, hzToMel, melEdges, melFilterbank, melToHz } from "./matrices.ts";

const settings = (change: Partial<AudioFeatures> = {}): AudioFeatures => ({ ...defaultAudioFeatures, ...change });

describe("settings", () => {
  it("have the shapes of the usual front end", () => {
    expect(featureShape(settings(), 16_000)).toEqual({ channels: 1, height: 49, width: 40 });
    expect(featureShape(settings({ type: "mfcc", coefficients: 10 }), 16_000)).toEqual({ channels: 1, height: 49, width: 10 });
    expect(featureShape(settings({ windowMs: 30, hopMs: 10 }), 16_000).height).toBe(98);
    expect(() => frameCount(settings(), 639)).toThrow(/at least the 640 samples of one window \(40 ms\), got 639/);
  });

  it("count the windows that lie in the clip whole", () => {
    fc.assert(
      fc.property(fc.integer({ min: 640, max: 40_000 }), fc.integer({ min: 1, max: 60 }), (samples, hopMs) => {
        let windows = 0;
        for (let start = 0; start + 640 <= samples; start += 16 * hopMs) windows++;
        expect(frameCount(settings({ hopMs }), samples)).toBe(windows);
      }),
    );
  });

  it.each<[Partial<AudioFeatures>, RegExp]>([
    [{ type: "mel" as "mfcc" }, /type must be "logMel" or "mfcc", got mel/],
    [{ sampleRate: 0.5 }, /sampleRate/],
    [{ windowMs: 0 }, /windowMs/],
    [{ windowMs: Number.NaN }, /windowMs/],
    [{ hopMs: 0.01 }, /hopMs must be at least one sample/],
    [{ fftSize: 1000 }, /fftSize must be a power of two/],
    [{ fftSize: 512 }, /fftSize must be at least the 640 samples of a window, got 512/],
    [{ minHz: -1 }, /minHz/],
    [{ maxHz: 8001 }, /maxHz must be above minHz \(20\) and at most half the sample rate \(8000\), got 8001/],
    [{ minHz: 4000, maxHz: 4000 }, /maxHz/],
    [{ melBands: 0 }, /melBands/],
    [{ melBands: 300 }, /band \d+ does not/],
    [{ type: "mfcc", coefficients: 41 }, /coefficients must be a whole number from 1 to melBands \(40\), got 41/],
    [{ logOffset: 0 }, /logOffset/],
  ])("%j are refused", (change, message) => {
    expect(() => checkAudioFeatures(settings(change))).toThrow(message);
  });

  it("are accepted exactly where every filter covers a frequency", () => {
    const refused = new Set<boolean>();
    for (let melBands = 1; melBands <= 100; melBands++) {
      const f = settings({ melBands, windowMs: 16, fftSize: 256 });
      const weights = melFilterbank(f);
      const covered = Array.from({ length: melBands }, (_, band) => weights.some((w, i) => i % melBands === band && w > 1e-9));
      const check = expect(() => checkAudioFeatures(f));
      if (covered.every(Boolean)) check.not.toThrow();
      else check.toThrow(/does not/);
      refused.add(!covered.every(Boolean));
    }
    expect(refused.size).toBe(2);
  });
});

describe("constants", () => {
  it("have HTK's mel scale: 1000 Hz is 1000 mel, and 700 Hz is 2595 log10(2)", () => {
    expect(hzToMel(0)).toBe(0);
    expect(hzToMel(700)).toBeCloseTo(781.17, 2);
    expect(hzToMel(1000)).toBeCloseTo(999.99, 2);
    expect(hzToMel(8000)).toBeCloseTo(2840.02, 2);
    fc.assert(fc.property(fc.double({ min: 0, max: 24_000, noNaN: true }), (hz) => Math.abs(melToHz(hzToMel(hz)) - hz) < 1e-8));
  });

  it("have filters that peak at 1, evenly spaced in mel, and share each frequency between two", () => {
    const f = settings({ fftSize: 2 ** 15 });
    const edges = melEdges(f);
    expect([edges[0], edges.at(-1)]).toEqual([expect.closeTo(20, 9), expect.closeTo(8000, 9)]);
    const mels = Array.from(edges, hzToMel);
    for (let i = 2; i < mels.length; i++) expect(mels[i]! - mels[i - 1]!).toBeCloseTo(mels[1]! - mels[0]!, 9);
    const weights = melFilterbank(f);
    const spacing = f.sampleRate / f.fftSize;
    for (let band = 0; band < f.melBands; band++) {
      const bin = Math.round(edges[band + 1]! / spacing);
      // Within half a bin of the peak a side of the triangle falls by half a bin over its length.
      expect(weights[bin * f.melBands + band]).toBeGreaterThan(1 - spacing / (edges[band + 1]! - edges[band]!));
      expect(weights[bin * f.melBands + band]).toBeLessThanOrEqual(1);
    }
    for (let bin = Math.ceil(edges[1]! / spacing); bin * spacing <= edges[f.melBands]!; bin++) {
      const shares = weights.subarray(bin * f.melBands, (bin + 1) * f.melBands);
      expect(shares.reduce((sum, w) => sum + w, 0)).toBeCloseTo(1, 9);
      expect(shares.filter((w) => w > 0).length).toBeLessThanOrEqual(2);
    }
  });

  it("have a window whose halves add up to 1 at a hop of half its length", () => {
    const window = hannWindow(640);
    for (let n = 0; n < 320; n++) expect(window[n]! + window[n + 320]!).toBeCloseTo(1, 12);
    expect([window[0], window[320]]).toEqual([0, 1]);
  });

  it("have an orthonormal cosine transform", () => {
    const dct = dctMatrix(40, 40);
    for (let a = 0; a < 40; a++) {
      for (let b = 0; b <= a; b++) {
        let product = 0;
        for (let band = 0; band < 40; band++) product += dct[band * 40 + a]! * dct[band * 40 + b]!;
        expect(product).toBeCloseTo(a === b ? 1 : 0, 12);
      }
    }
    expect(dctMatrix(40, 10)).toEqual(Float64Array.from({ length: 400 }, (_, i) => dct[Math.floor(i / 10) * 40 + (i % 10)]!));
  });
});

describe("metadata", () => {
  it("tell the front end again", () => {
    const audio = { features: settings({ type: "mfcc", coefficients: 13 }), samples: 12_000 };
    expect(readAudioMetadata({ ...audioMetadata(audio), head: "H0" }, "m")).toEqual(audio);
    expect(readAudioMetadata({ head: "H0" }, "m")).toBeUndefined();
  });

  it.each<[string, Record<string, string>]>([
    ["half of them", { clipSamples: "16000" }],
    ["no JSON", { audioFeatures: "{", clipSamples: "16000" }],
    ["null", { audioFeatures: "null", clipSamples: "16000" }],
    ["a setting of another type", { audioFeatures: JSON.stringify({ ...settings(), hopMs: "20" }), clipSamples: "16000" }],
    ["a setting too many", { audioFeatures: JSON.stringify({ ...settings(), dither: 1 }), clipSamples: "16000" }],
    ["settings out of range", { audioFeatures: JSON.stringify(settings({ fftSize: 100 })), clipSamples: "16000" }],
    ["a clip shorter than a window", { audioFeatures: JSON.stringify(settings()), clipSamples: "100" }],
  ])("with %s are refused", (_, metadata) => {
    expect(() => readAudioMetadata(metadata, "model.onnx")).toThrow(
      expect.objectContaining({ code: "corrupt", message: expect.stringContaining("model.onnx") }),
    );
  });
});
