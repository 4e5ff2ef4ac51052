/** Deployable models that take raw audio, against the same models on extracted features. */
import { describe, expect, it } from "vitest";
import { generatedSignal, realClips, speechFolder, worstDifference } from "../features/audio.fixture.ts";
import { readAudioMetadata } from "../features/audioInput.ts";
import { openExtractor } from "../features/extract.ts";
import { type AudioFeatures, defaultAudioFeatures } from "../features/features.ts";
import { models } from "../models/table.ts";
import type { Network } from "../network/network.ts";
import { readOnnx } from "../onnx/read.ts";
import { verify } from "../onnx/verify.ts";
import { writeOnnx } from "../onnx/write.ts";
import { openSession } from "../runtime/session.node.ts";
import { tensor } from "../util/tensor.ts";
import { compileInference } from "./deploy.ts";
import { initialParameters } from "./initialize.ts";

const classNames = ["cat", "dog", "yes", "no"];
const samples = 16_000;
const network = (): Network => models.tiny.build({ channels: 1, height: 49, width: 40, mean: [-7], std: [4] }, classNames.length);

/** Logits of clips by a model that takes them raw, and by one that takes extracted features. */
async function bothWays(features: AudioFeatures, clips: readonly Float32Array[], seed: number): Promise<[Float32Array, Float32Array]> {
  const parameters = initialParameters(network(), seed);
  const extractor = openExtractor(features, samples);
  const waves = new Float32Array(clips.length * samples);
  const images = new Float32Array(clips.length * 49 * 40);
  for (const [i, clip] of clips.entries()) {
    waves.set(clip, i * samples);
    extractor.extract(clip, images.subarray(i * 1960, (i + 1) * 1960));
  }
  const graph = (audio: boolean) =>
    verify(compileInference(network(), parameters, { classNames, ...(audio ? { audio: { features, samples } } : {}) }));
  await using raw = await openSession(writeOnnx(graph(true), { batchAxis: "N" }));
  await using plain = await openSession(writeOnnx(graph(false), { batchAxis: "N" }));
  const heard = await raw.run({ audio: tensor("float32", [clips.length, samples], waves) });
  const seen = await plain.run({ image: tensor("float32", [clips.length, 1, 49, 40], images) });
  return [heard.logits?.data as Float32Array, seen.logits?.data as Float32Array];
}

const folder = speechFolder();

describe("a deployable model with a front end", () => {
  it.each(["logMel", "mfcc"] as const)("has on raw audio the logits that it has on extracted %s, to 1e-3", async (type) => {
    const quiet = generatedSignal().map((v) => v / 1000);
    const [heard, seen] = await bothWays({ ...defaultAudioFeatures, type }, [generatedSignal(), quiet, new Float32Array(samples)], 1);
    expect(worstDifference(heard, seen)).toBeLessThan(1e-3);
    // Three sounds, three answers.
    expect(worstDifference(heard.subarray(0, 4), heard.subarray(4, 8))).toBeGreaterThan(0.01);
  });

  it.skipIf(!folder)(`does so on real clips${folder ? "" : " (skipped: SHEAF_DATA has no speech_commands)"}`, async () => {
    for (const type of ["logMel", "mfcc"] as const) {
      const [heard, seen] = await bothWays({ ...defaultAudioFeatures, type }, realClips(folder as string, 3), 2);
      expect(worstDifference(heard, seen)).toBeLessThan(1e-3);
    }
  });

  it("says in its metadata what it listens to", () => {
    const audio = { features: { ...defaultAudioFeatures, type: "mfcc", coefficients: 40 } as const, samples };
    const graph = compileInference(network(), initialParameters(network(), 1), { classNames, audio, metadata: { dataSet: "words" } });
    const { inputs, metadata } = readOnnx(writeOnnx(graph, { batchAxis: "N" }));
    expect(inputs.map(({ name }) => name)).toEqual(["audio"]);
    expect(readAudioMetadata(metadata, "model")).toEqual(audio);
    expect(metadata.dataSet).toBe("words");
  });

  it("is refused where the network does not read these features", () => {
    const compile =
      (features: Partial<AudioFeatures>, clip = samples) =>
      () =>
        compileInference(network(), initialParameters(network(), 1), {
          classNames,
          audio: { features: { ...defaultAudioFeatures, ...features }, samples: clip },
        });
    expect(compile({ melBands: 64 })).toThrow(/reads 1x49x40 values, but the audio features of a clip are 1x49x64/);
    expect(compile({}, 8000)).toThrow(/1x24x40/);
  });
});
