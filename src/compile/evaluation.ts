/**
 * Compiles a forward pass in the training layout with running statistics and without dropout, for measuring a network between
 * training steps with the program's own parameters. The deployable form, for users, is written by `deploy.ts`.
 */
import type { FeatureShape, Network } from "../network/network.ts";
import type { Activation, TrainingContext } from "../network/rules.ts";
import { type PlacedLayer, placeLayers } from "../network/shapes.ts";
import { GraphBuilder } from "../onnx/builder.ts";
import type { Graph, Value } from "../onnx/graph.ts";
import { SheafError } from "../util/errors.ts";
import type { DType, FloatDType, Shape } from "../util/tensor.ts";
import { checkBatchSize, forward, normalizeInput, type Port, type PortRole, vectorOutput } from "./training.ts";
import { singleUnit } from "./units.ts";

/** A compiled forward pass. One run of `graph` gives the logits of one batch. */
export interface EvaluationProgram {
  readonly network: Network;
  readonly batchSize: number;
  readonly dtype: FloatDType;
  readonly graph: Graph;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
}

export interface EvaluationOptions {
  readonly batchSize: number;
  readonly dtype?: FloatDType;
}

/**
 * Compiles the forward pass of `network`. Inputs: `image` [channels, height, width, batch], raw values, batch innermost, and every
 * parameter and layer state by its name, as in `compileTraining`. Output: `logits` [classes, batch].
 * Throws `network` when the network is ill-formed or its output is not a vector, `config` on a bad batch size.
 */
export function compileEvaluation(network: Network, options: EvaluationOptions): EvaluationProgram {
  const { batchSize, dtype = "float32" } = options;
  checkBatchSize(batchSize);
  const output: FeatureShape = vectorOutput(network);
  const { channels, height, width } = network.input;
  const b = new GraphBuilder();
  const inputs: Port[] = [];
  const input = (name: string, type: DType, shape: Shape, role: PortRole): Value => {
    inputs.push({ name, dtype: type, shape, role });
    return b.input(name, type, shape);
  };
  const image = input("image", dtype, [channels, height, width, batchSize], "image");
  const values = new Map<string, Value>();
  for (const { layer, parameters } of placeLayers(network)) {
    for (const p of parameters) {
      const name = `${layer.name}.${p.name}`;
      values.set(name, input(name, dtype, p.shape, p.role));
    }
  }
  const refuse = (what: string): never => {
    throw new SheafError("internal", `Evaluation of network "${network.name}" ${what}.`);
  };
  const contextOf = ({ layer }: PlacedLayer): TrainingContext => ({
    builder: b,
    dtype,
    batchSize,
    mode: "evaluate",
    parameter: (name) => values.get(`${layer.name}.${name}`) ?? refuse(`has no parameter "${layer.name}.${name}"`),
    updateState: (name) => refuse(`changed state "${layer.name}.${name}"`),
    uniform: () => refuse(`drew random numbers in layer "${layer.name}"`),
  });
  const normalized = b.scope("normalize", () => normalizeInput(b, dtype, network, image, batchSize));
  const tape = forward(placeLayers(network).map(singleUnit), normalized, contextOf, b);
  const last = tape.activations.get(network.layers.at(-1)?.name ?? "") as Activation;
  const logits = b.output("logits", b.reshape(last.value, [output.channels, batchSize]));
  return {
    network,
    batchSize,
    dtype,
    graph: b.build(`${network.name}-evaluate`),
    inputs,
    outputs: [{ name: logits.name, dtype, shape: logits.shape, role: "logits" }],
  };
}
