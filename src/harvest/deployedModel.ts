/** What a deployed model file of Sheaf says about itself: what goes in, which classes come out. Reads bytes; opens no session and no file. */
import { readAudioMetadata } from "../features/audioInput.ts";
import type { Graph } from "../onnx/graph.ts";
import { readOnnx } from "../onnx/read.ts";
import { SheafError } from "../util/errors.ts";

/** How pictures of other proportions were made to fit. */
export type PictureFit = "cover" | "contain" | "stretch";

/** What goes in: raw pixels, or waves in [-1, 1] of `samples` values at `sampleRate`. */
export type ModelInput =
  | { readonly type: "image"; readonly shape: { readonly channels: number; readonly height: number; readonly width: number } }
  | { readonly type: "audio"; readonly samples: number; readonly sampleRate: number };

export interface DeployedModel {
  readonly input: ModelInput;
  readonly classNames: readonly string[];
  /** How the training images were brought to the model's size. */
  readonly resize: PictureFit;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface ClassProbability {
  readonly class: string;
  readonly probability: number;
}

function inputOf({ inputs, metadata }: Graph, what: string): ModelInput | undefined {
  const image = inputs.find((v) => v.name === "image");
  if (image?.shape.length === 4) {
    const [, channels = 0, height = 0, width = 0] = image.shape;
    return { type: "image", shape: { channels, height, width } };
  }
  const audio = readAudioMetadata(metadata, what);
  if (!audio || !inputs.some((v) => v.name === "audio" && v.shape[1] === audio.samples)) return undefined;
  return { type: "audio", samples: audio.samples, sampleRate: audio.features.sampleRate };
}

/** Reads what a model says about itself. Throws `corrupt` when it is no model of Sheaf; `what` names it in the message. */
export function readDeployedModel(bytes: Uint8Array, what: string): DeployedModel {
  const graph = readOnnx(bytes, { what });
  const { metadata } = graph;
  const input = inputOf(graph, what);
  const names = metadata.classNames;
  if (!input || names === undefined || !graph.outputs.some((v) => v.name === "probabilities")) {
    throw new SheafError(
      "corrupt",
      `${what} is not a deployed model of Sheaf: expected an input "image" [N, C, H, W] or "audio" [N, samples], an output "probabilities" and class names in its metadata; give a model.onnx that sheaf run or train wrote.`,
    );
  }
  const { resize } = metadata;
  return {
    input,
    classNames: JSON.parse(names) as string[],
    resize: resize === "contain" || resize === "stretch" ? resize : "cover",
    metadata,
  };
}

/** The likeliest classes, likeliest first. */
export function rankClasses(probabilities: ArrayLike<number>, classNames: readonly string[], top: number): readonly ClassProbability[] {
  return Array.from(probabilities, (probability, id) => ({ class: classNames[id] ?? String(id), probability }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, top);
}

/** Stretches of `samples` values, every half of it, the last one ending with the wave; a shorter wave is padded with zeros. `values` has them one behind the other. */
export function stretchesOf(
  wave: Float32Array,
  samples: number,
): { readonly starts: readonly number[]; readonly values: Float32Array<ArrayBuffer> } {
  const starts: number[] = [];
  for (let start = 0; start + samples < wave.length; start += Math.floor(samples / 2)) starts.push(start);
  starts.push(Math.max(0, wave.length - samples));
  const values = new Float32Array(starts.length * samples);
  starts.forEach((start, i) => {
    values.set(wave.subarray(start, start + samples), i * samples);
  });
  return { starts, values };
}
