import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GraphBuilder } from "../onnx/builder.ts";
import type { Graph } from "../onnx/graph.ts";
import { verify } from "../onnx/verify.ts";
import { writeOnnx } from "../onnx/write.ts";
import { openSession } from "../runtime/session.node.ts";
import type { OpenSession } from "../runtime/session.ts";
import { openSession as openWeb } from "../runtime/session.web.ts";
import { random } from "../util/random.ts";
import { sizeOf, type Tensor, tensor } from "../util/tensor.ts";
import { generatedSignal, realClips, speechFolder, worstDifference } from "./audio.fixture.ts";
import { openExtractor } from "./extract.ts";
import { type AudioFeatures, defaultAudioFeatures, featureShape } from "./features.ts";
import { featureGraph, featureMacs } from "./graph.ts";

const settings = (change: Partial<AudioFeatures> = {}): AudioFeatures => ({ ...defaultAudioFeatures, ...change });

function graphOf(f: AudioFeatures, samples: number): Graph {
  const b = new GraphBuilder();
  b.output("features", featureGraph(b, b.input("audio", "float32", [1, samples]), f));
  return verify(b.build("front end"));
}

function extracted(f: AudioFeatures, waves: readonly Float32Array[]): Float32Array {
  const samples = waves[0]!.length;
  const size = sizeOf(Object.values(featureShape(f, samples)));
  const extractor = openExtractor(f, samples);
  const all = new Float32Array(waves.length * size);
  for (const [i, wave] of waves.entries()) extractor.extract(wave, all.subarray(i * size, (i + 1) * size));
  return all;
}

/** All clips in one batch. */
async function inGraph(f: AudioFeatures, waves: readonly Float32Array[], open: OpenSession = openSession): Promise<Tensor<"float32">> {
  const samples = waves[0]!.length;
  await using session = await open(writeOnnx(graphOf(f, samples), { batchAxis: "N" }));
  const audio = new Float32Array(waves.length * samples);
  for (const [i, wave] of waves.entries()) audio.set(wave, i * samples);
  const { features } = await session.run({ audio: tensor("float32", [waves.length, samples], audio) });
  return features as Tensor<"float32">;
}

const noise = (seed: number, samples: number, level = 0.1): Float32Array => {
  const source = random(seed, "noise");
  return Float32Array.from({ length: samples }, () => level * source.normal());
};

const sounds = [generatedSignal(), noise(1, 16_000), noise(2, 16_000, 1e-4), new Float32Array(16_000)];
const folder = speechFolder();

describe("the front end in the graph", () => {
  it.each([
    ["logMel", 1e-4],
    ["mfcc", 1e-3],
  ] as const)("gives the extractor's %s of generated sounds, in batches and alone", async (type, tolerance) => {
    const f = settings({ type });
    const features = await inGraph(f, sounds);
    expect(features.shape).toEqual([sounds.length, 1, 49, 40]);
    expect(worstDifference(features.data, extracted(f, sounds))).toBeLessThan(tolerance);
    expect(worstDifference((await inGraph(f, sounds.slice(1, 2))).data, features.data.subarray(1960, 3920))).toBeLessThan(1e-5);
  });

  it("gives the extractor's features with any settings", async () => {
    const anySettings = fc
      .record({
        type: fc.constantFrom("logMel", "mfcc"),
        sampleRate: fc.constantFrom(8000, 11_025, 16_000, 22_050),
        windowMs: fc.integer({ min: 8, max: 64 }),
        hopMs: fc.integer({ min: 5, max: 70 }),
        melBands: fc.integer({ min: 1, max: 12 }),
        minHz: fc.constantFrom(0, 20, 300),
        maxHz: fc.constantFrom(3000, 4000),
        coefficients: fc.constantFrom(1),
        logOffset: fc.constantFrom(1e-6, 1e-3),
        larger: fc.constantFrom(1, 2),
        extra: fc.integer({ min: 0, max: 1500 }),
      })
      .map(({ larger, extra, ...f }) => {
        const window = Math.round((f.windowMs * f.sampleRate) / 1000);
        // At least 512 points, so that every filter covers some.
        return {
          f: { ...f, fftSize: larger * Math.max(512, 2 ** Math.ceil(Math.log2(window))) } as AudioFeatures,
          samples: window + extra,
        };
      });
    await fc.assert(
      fc.asyncProperty(anySettings, fc.integer({ min: 0, max: 99 }), async ({ f, samples }, seed) => {
        const waves = [noise(seed, samples), noise(seed + 1, samples)];
        expect(worstDifference((await inGraph(f, waves)).data, extracted(f, waves))).toBeLessThan(1e-4);
      }),
      { numRuns: 30 },
    );
  });

  it.skipIf(!folder)(`agrees on real clips${folder ? "" : " (skipped: SHEAF_DATA has no speech_commands)"}`, async () => {
    const clips = realClips(folder as string, 6);
    expect(clips.length).toBeGreaterThan(50);
    const logMel = await inGraph(settings(), clips);
    const expected = extracted(settings(), clips);
    // Float32 cannot do better where a band is 60 decibels and more below the loudest of its frame: those few may be off by more.
    expect(worstDifference(logMel.data, expected)).toBeLessThan(1e-3);
    const off = logMel.data.filter((v, i) => Math.abs(v - expected[i]!) > 1e-4).length;
    expect(off / expected.length).toBeLessThan(1e-3);
    const mfcc = settings({ type: "mfcc" });
    expect(worstDifference((await inGraph(mfcc, clips)).data, extracted(mfcc, clips))).toBeLessThan(1e-3);
  });

  it("gives the same on WebAssembly", async () => {
    const f = settings({ type: "mfcc" });
    expect(worstDifference((await inGraph(f, sounds, openWeb)).data, extracted(f, sounds))).toBeLessThan(1e-3);
  });

  it("costs what its matrix products cost, and little room", () => {
    for (const f of [settings(), settings({ type: "mfcc", coefficients: 13 }), settings({ windowMs: 30, hopMs: 10, fftSize: 512 })]) {
      const { nodes, values } = graphOf(f, 16_000);
      const shapeOf = (name: string | undefined): readonly number[] => values.get(name ?? "")!.shape;
      const macs = nodes
        .filter((node) => node.op === "MatMul")
        .reduce((sum, node) => sum + sizeOf(shapeOf(node.outputs[0])) * shapeOf(node.inputs[0]).at(-1)!, 0);
      expect(featureMacs(f, 16_000)).toBe(macs);
    }
    expect(featureMacs(settings(), 16_000)).toBeLessThan(6e6);
    expect(writeOnnx(graphOf(settings(), 16_000)).length).toBeLessThan(130_000);
  });

  it("is written in one form whatever else the graph holds, and refuses what is no audio", () => {
    const b = new GraphBuilder();
    expect(() => featureGraph(b, b.input("image", "float32", [1, 1, 49, 40]), settings())).toThrow(/Audio must be float \[N, samples\]/);
    expect(() => featureGraph(b, b.input("bytes", "uint8", [1, 16_000]), settings())).toThrow(/got uint8 \[1, 16000\]/);
    expect(() => featureGraph(b, b.input("short", "float32", [1, 100]), settings())).toThrow(/at least the 640 samples/);
    expect(writeOnnx(graphOf(settings(), 16_000))).toEqual(writeOnnx(graphOf(settings(), 16_000)));
  });
});
