/** Features against values by torchaudio, which test/reference/audioFeatures.py wrote. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Tensor } from "../util/tensor.ts";
import { generatedSignal, readClip, readReference, speechFolder, worstDifference } from "./audio.fixture.ts";
import { openExtractor } from "./extract.ts";
import { type AudioFeatures, featureShape } from "./features.ts";

const reference = readReference();
const clip = join(speechFolder() ?? "", reference.metadata.clip ?? "");
const hasClip = speechFolder() !== undefined && existsSync(clip);

function compare(signal: string, wave: Float32Array): void {
  let compared = 0;
  for (const [name, expected] of reference.tensors) {
    const [of, setting = "", type] = name.split("/");
    if (of !== signal) continue;
    const f = { ...reference.settings[setting], type, logOffset: 1e-6 } as AudioFeatures;
    const { height, width } = featureShape(f, wave.length);
    expect([height, width], name).toEqual(expected.shape);
    const got = new Float32Array(height * width);
    openExtractor(f, wave.length).extract(wave, got);
    expect(worstDifference(got, (expected as Tensor<"float32">).data), name).toBeLessThan(1e-5);
    compared++;
  }
  expect(compared).toBe(4);
}

describe("log-mel and MFCC agree with torchaudio to 1e-5", () => {
  it("on a generated signal", () => compare("generated", generatedSignal()));

  it.skipIf(!hasClip)(`on a clip of Speech Commands${hasClip ? "" : " (skipped: SHEAF_DATA has no speech_commands with it)"}`, () => {
    expect(createHash("sha256").update(readFileSync(clip)).digest("hex")).toBe(reference.metadata.clipSha256);
    compare("clip", readClip(clip));
  });
});
