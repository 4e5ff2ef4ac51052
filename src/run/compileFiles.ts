/** The files with which any ONNX Runtime in any language can train: program, first values, and a description of every port. */
import { join } from "node:path";
import { compileTraining, initialState, type TrainingOptions } from "../compile/training.ts";
import type { Network } from "../network/network.ts";
import { opsetVersion } from "../onnx/graph.ts";
import { writeOnnx } from "../onnx/write.ts";
import { writeFileAtomic } from "../util/files.node.ts";
import { encodeSafetensors } from "../util/safetensors.ts";
import type { Tensor } from "../util/tensor.ts";
import { sheafVersion } from "./machine.ts";

export interface CompiledFiles {
  readonly program: string;
  readonly parameters: string;
  readonly description: string;
  readonly nodes: number;
  readonly bytes: number;
}

/** Writes `train.onnx`, `parameters.safetensors` (first values of every parameter and state: trained ones where they are given) and `train.json` into `folder`. */
export async function writeCompiled(
  network: Network,
  options: TrainingOptions,
  learningRate: number,
  seed: number,
  folder: string,
  trained?: ReadonlyMap<string, Tensor>,
): Promise<CompiledFiles> {
  const program = compileTraining(network, options);
  const model = writeOnnx(program.graph, { producerVersion: sheafVersion });
  const paths = {
    program: join(folder, "train.onnx"),
    parameters: join(folder, "parameters.safetensors"),
    description: join(folder, "train.json"),
  };
  const port = ({ name, dtype, shape, role, replaces }: (typeof program.inputs)[number]) => ({
    name,
    dtype,
    shape,
    role,
    ...(replaces ? { replaces } : {}),
  });
  const description = {
    format: "sheaf-train/1",
    sheafVersion,
    opset: opsetVersion,
    network: network.name,
    batchSize: program.batchSize,
    image: {
      layout: "channels, height, width, batch (batch innermost)",
      normalization: "the graph computes (value - mean) / std per channel",
      mean: network.input.mean,
      std: network.input.std,
    },
    target: { layout: "classes, batch: a column of class probabilities per sample, one-hot for a plain label" },
    optimizer: options.optimizer,
    labelSmoothing: options.labelSmoothing ?? 0,
    emaDecay: options.emaDecay ?? 0,
    suggestedLearningRate: learningRate,
    inputs: program.inputs.map(port),
    outputs: program.outputs.map(port),
  };
  await writeFileAtomic(paths.program, model);
  await writeFileAtomic(paths.parameters, encodeSafetensors(new Map([...initialState(program, seed), ...(trained ?? [])])));
  await writeFileAtomic(paths.description, `${JSON.stringify(description, null, 2)}\n`);
  return { ...paths, nodes: program.graph.nodes.length, bytes: model.length };
}
