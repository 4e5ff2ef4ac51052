/** A deployed model file of Sheaf: opened, with what its metadata says. */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { SampleShape } from "../data/dataset.ts";
import { readAudioMetadata } from "../features/audioInput.ts";
import type { Graph } from "../onnx/graph.ts";
import { readOnnx } from "../onnx/read.ts";
import { openSession } from "../runtime/session.node.ts";
import type { Session } from "../runtime/session.ts";
import { SheafError } from "../util/errors.ts";
import { readFileChecked } from "../util/files.node.ts";
import { runFiles } from "./directory.ts";

export interface ModelFile {
  readonly path: string;
  readonly bytes: number;
  /** What goes in: raw pixels, or waves in [-1, 1] of `samples` values at `sampleRate`. */
  readonly input:
    | { readonly type: "image"; readonly shape: SampleShape }
    | { readonly type: "audio"; readonly samples: number; readonly sampleRate: number };
  readonly classNames: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly session: Session;
}

function inputOf({ inputs, metadata }: Graph, what: string): ModelFile["input"] | undefined {
  const image = inputs.find((v) => v.name === "image");
  if (image?.shape.length === 4) {
    const [, channels = 0, height = 0, width = 0] = image.shape;
    return { type: "image", shape: { channels, height, width } };
  }
  const audio = readAudioMetadata(metadata, what);
  if (!audio || !inputs.some((v) => v.name === "audio" && v.shape[1] === audio.samples)) return undefined;
  return { type: "audio", samples: audio.samples, sampleRate: audio.features.sampleRate };
}

/**
 * Opens a model by path, or the model of a run directory. The caller disposes of the session.
 * Throws `data` when there is no such file, `corrupt` when it is no model of Sheaf.
 */
export async function openModelFile(path: string): Promise<ModelFile> {
  const file = existsSync(path) && statSync(path).isDirectory() ? join(path, runFiles.model) : path;
  const bytes = await readFileChecked(file, "model");
  const graph = readOnnx(bytes, { what: file });
  const input = inputOf(graph, file);
  const names = graph.metadata.classNames;
  if (!input || names === undefined || !graph.outputs.some((v) => v.name === "probabilities")) {
    throw new SheafError(
      "corrupt",
      `${file} is not a deployed model of Sheaf: expected an input "image" [N, C, H, W] or "audio" [N, samples], an output "probabilities" and class names in its metadata; give a model.onnx that sheaf run or train wrote.`,
    );
  }
  return {
    path: file,
    bytes: bytes.length,
    input,
    classNames: JSON.parse(names) as string[],
    metadata: graph.metadata,
    session: await openSession(bytes, { name: file }),
  };
}
