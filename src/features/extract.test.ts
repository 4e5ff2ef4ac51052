import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { random } from "../util/random.ts";
import { generatedSignal, worstDifference } from "./audio.fixture.ts";
import { openExtractor } from "./extract.ts";
import { type AudioFeatures, defaultAudioFeatures, featureShape } from "./features.ts";
import { dctMatrix, melEdges } from "./matrices.ts";

const settings = (change: Partial<AudioFeatures> = {}): AudioFeatures => ({ ...defaultAudioFeatures, ...change });

function extract(f: AudioFeatures, wave: Float32Array): Float32Array {
  const { height, width } = featureShape(f, wave.length);
  const into = new Float32Array(height * width);
  openExtractor(f, wave.length).extract(wave, into);
  return into;
}

const noise = (seed: number, samples = 3200): Float32Array => {
  const source = random(seed, "noise");
  return Float32Array.from({ length: samples }, () => 0.3 * source.normal());
};

describe("features", () => {
  it("of silence are the logarithm of the offset", () => {
    const silence = new Float32Array(16_000);
    expect(new Set(extract(settings(), silence))).toEqual(new Set([Math.fround(Math.log(1e-6))]));
    const mfcc = extract(settings({ type: "mfcc" }), silence);
    for (let t = 0; t < 49; t++) {
      expect(mfcc[t * 40]).toBeCloseTo(Math.sqrt(40) * Math.log(1e-6), 4);
      expect(Math.max(...mfcc.subarray(t * 40 + 1, (t + 1) * 40).map(Math.abs))).toBeLessThan(1e-5);
    }
  });

  it("of a louder sound are higher by twice the logarithm of the factor, but for the offset", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1000 }), fc.double({ min: 0.01, max: 100, noNaN: true }), (seed, factor) => {
        const f = settings({ logOffset: 1e-20 });
        const wave = noise(seed);
        const [quiet, loud] = [
          extract(f, wave),
          extract(
            f,
            wave.map((v) => v * factor),
          ),
        ];
        loud.forEach((v, i) => {
          expect(Math.abs(v - quiet[i]! - 2 * Math.log(factor))).toBeLessThan(1e-4);
        });
      }),
      { numRuns: 20 },
    );
  });

  it("of a tone at a filter's peak are highest in that band", () => {
    const edges = melEdges(settings());
    for (let band = 8; band < 40; band++) {
      const hz = edges[band + 1]!;
      const tone = Float32Array.from({ length: 16_000 }, (_, n) => 0.5 * Math.sin((2 * Math.PI * hz * n) / 16_000));
      const frame = extract(settings(), tone).subarray(20 * 40, 21 * 40);
      expect(frame.indexOf(Math.max(...frame))).toBe(band);
      // The window adds up to 320, so the peak of the spectrum is 0.5 / 2 * 320, and neighbouring bins are in the band too.
      expect(frame[band]).toBeGreaterThan(Math.log(80 ** 2));
    }
  });

  it("of a sound that comes a hop later come a frame later", () => {
    const wave = noise(3, 16_000);
    const later = new Float32Array(16_000);
    later.set(wave.subarray(0, 16_000 - 320), 320);
    expect(extract(settings(), later).subarray(40)).toEqual(extract(settings(), wave).subarray(0, 48 * 40));
  });

  it("mfcc are the cosine transform of logMel, and fewer coefficients are the first of more", () => {
    const wave = generatedSignal();
    const logMel = extract(settings(), wave);
    const dct = dctMatrix(40, 40);
    const expected = Float32Array.from({ length: 49 * 40 }, (_, i) => {
      const t = Math.floor(i / 40);
      return Array.from(logMel.subarray(t * 40, (t + 1) * 40)).reduce((sum, v, band) => sum + v * dct[band * 40 + (i % 40)]!, 0);
    });
    const all = extract(settings({ type: "mfcc" }), wave);
    expect(worstDifference(all, expected)).toBeLessThan(2e-5);
    const ten = extract(settings({ type: "mfcc", coefficients: 10 }), wave);
    expect(ten).toEqual(Float32Array.from({ length: 490 }, (_, i) => all[Math.floor(i / 10) * 40 + (i % 10)]!));
  });

  it("do not depend on what was extracted before, also by another extractor of the same size", () => {
    const [a, b] = [noise(1, 16_000), noise(2, 16_000)];
    const [one, other] = [openExtractor(settings(), 16_000), openExtractor(settings({ windowMs: 60 }), 16_000)];
    const batch = new Float32Array(3 * 49 * 40);
    one.extract(a, batch.subarray(0, 1960));
    other.extract(b, new Float32Array(48 * 40));
    one.extract(b, batch.subarray(1960, 3920));
    one.extract(a, batch.subarray(3920));
    expect(batch.subarray(0, 1960)).toEqual(extract(settings(), a));
    expect(batch.subarray(1960, 3920)).toEqual(extract(settings(), b));
    expect(batch.subarray(3920)).toEqual(batch.subarray(0, 1960));
  });

  it("refuse clips and room of another length", () => {
    const extractor = openExtractor(settings(), 16_000);
    expect(() => extractor.extract(new Float32Array(15_999), new Float32Array(1960))).toThrow(/16000 samples, got 15999/);
    expect(() => extractor.extract(new Float32Array(16_000), new Float32Array(1961))).toThrow(/49 x 40 = 1960 values, got room for 1961/);
    expect(() => openExtractor(settings({ fftSize: 3 }), 16_000)).toThrow(/power of two/);
  });
});
