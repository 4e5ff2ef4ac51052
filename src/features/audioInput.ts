/** What a model that takes raw audio says about its front end, in its metadata. */
import { SheafError } from "../util/errors.ts";
import { canonicalJson } from "../util/json.ts";
import { type AudioFeatures, type AudioInput, checkAudioFeatures, defaultAudioFeatures, frameCount } from "./features.ts";

/** The metadata of a model with a front end: `audioFeatures` (JSON) and `clipSamples`. */
export function audioMetadata({ features, samples }: AudioInput): Readonly<Record<string, string>> {
  return { audioFeatures: canonicalJson(features), clipSamples: String(samples) };
}

/**
 * The front end that a model's metadata tell of; undefined when the model takes no audio.
 * Throws `corrupt` when they make no sense. `what` names the model in the message.
 * @example readAudioMetadata(readOnnx(bytes).metadata, "model.onnx")?.samples
 */
export function readAudioMetadata(metadata: Readonly<Record<string, string>>, what: string): AudioInput | undefined {
  const { audioFeatures, clipSamples } = metadata;
  if (audioFeatures === undefined && clipSamples === undefined) return undefined;
  try {
    const read: unknown = JSON.parse(audioFeatures ?? "");
    const samples = Number(clipSamples);
    const names = Object.keys(defaultAudioFeatures) as (keyof AudioFeatures)[];
    // Exactly the known settings: another version's further setting would mean other numbers.
    const known = names.every((name) => typeof (read as AudioFeatures)[name] === typeof defaultAudioFeatures[name]);
    if (!known || Object.keys(read as object).length !== names.length) throw new Error(`its settings are not ${names.join(", ")}`);
    checkAudioFeatures(read as AudioFeatures);
    frameCount(read as AudioFeatures, samples);
    return { features: read as AudioFeatures, samples };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SheafError("corrupt", `The metadata of ${what} should describe audio features, but do not: ${reason}`, { cause });
  }
}
