/** Compiles one step of training into one ONNX graph: forward, loss, backward, optimizer, all of standard operators. */

import { channelAffine } from "../network/channels.ts";
import { type FeatureShape, inputName, type Network } from "../network/network.ts";
import type { Activation, Traced, TrainingContext } from "../network/rules.ts";
import { outputShape, type PlacedLayer, placeLayers } from "../network/shapes.ts";
import { GraphBuilder } from "../onnx/builder.ts";
import type { Graph, Value } from "../onnx/graph.ts";
import { SheafError } from "../util/errors.ts";
import { type DType, type FloatDType, type Shape, sizeOf, type Tensor, zeros } from "../util/tensor.ts";
import { initialParameters } from "./initialize.ts";
import { type JointLossOptions, jointCrossEntropy } from "./jointLoss.ts";
import { offsetLogits, softmaxCrossEntropy } from "./loss.ts";
import { type OptimizerConfig, optimizer, type Update } from "./optimizers.ts";
import { forTraining } from "./rewrite.ts";
import { uniformNumbers } from "./uniform.ts";
import { type ContextOf, type Unit, unitsOf } from "./units.ts";

/** What an input or output of a program is for. */
export type PortRole = "image" | "target" | "frozen" | "learningRate" | "parameter" | "state" | "loss" | "logits";

export interface Port {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly role: PortRole;
  /** Of an output: the input that takes its value in the next step. */
  readonly replaces?: string;
}

/** A compiled training step. One run of `graph` is one step. */
export interface TrainingProgram {
  readonly network: Network;
  readonly batchSize: number;
  readonly dtype: FloatDType;
  readonly graph: Graph;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
}

export interface TrainingOptions {
  readonly batchSize: number;
  readonly optimizer: OptimizerConfig;
  /** Mass spread evenly over all classes; 0 by default. */
  readonly labelSmoothing?: number;
  /** Decay of an exponential moving average of the weights, kept as states `NAME.ema`; 0 (none) by default. */
  readonly emaDecay?: number;
  /** Added to each class's logits in the loss alone, one number per class; nothing by default. */
  readonly lossOffset?: readonly number[];
  /** The loss of settling: the network is a branch beside others, whose summed scores are one more input. */
  readonly jointLoss?: JointLossOptions;
  /** float64 serves gradient checks. */
  readonly dtype?: FloatDType;
  /** Also output the gradient of every parameter as `NAME.gradient`, for tests. */
  readonly exposeGradients?: boolean;
}

/** A network's output shape. Throws `network` unless it is a vector. */
export function vectorOutput(network: Network): FeatureShape {
  const output = outputShape(network);
  if (pixels(output) !== 1) {
    throw new SheafError(
      "network",
      `Network "${network.name}" ends in ${output.channels}x${output.height}x${output.width}; end it in a linear layer, one logit per class.`,
    );
  }
  return output;
}

/** Throws `config` unless a batch size is a whole number of at least 1. */
export function checkBatchSize(batchSize: number): void {
  if (!Number.isInteger(batchSize) || batchSize < 1) {
    throw new SheafError("config", `Batch size must be a whole number of at least 1, got ${batchSize}.`);
  }
}

const pixels = (shape: FeatureShape): number => shape.height * shape.width;

/** Puts raw values to (x - mean) / std; returns the activation in training layout. */
export function normalizeInput(b: GraphBuilder, dtype: FloatDType, network: Network, image: Value, batchSize: number): Activation {
  const { channels, mean, std } = network.input;
  const scale = b.float(
    dtype,
    std.map((s) => 1 / s),
  );
  const shift = b.float(
    dtype,
    mean.map((m, c) => -m / (std[c] as number)),
  );
  const shaped = b.reshape(image, [channels, pixels(network.input), batchSize]);
  return { value: channelAffine({ builder: b, dtype }, shaped, scale, shift, "normalized"), shape: network.input };
}

export interface Tape {
  readonly activations: ReadonlyMap<string, Activation>;
  readonly steps: readonly { readonly unit: Unit; readonly traced: Traced }[];
}

/** Writes the forward pass, keeping each unit's backward pass at hand. */
export function forward(units: readonly Unit[], image: Activation, contextOf: ContextOf, b: GraphBuilder): Tape {
  const activations = new Map<string, Activation>([[inputName, image]]);
  const steps = units.map((unit) =>
    b.scope(unit.name, () => {
      const traced = unit.train(
        contextOf,
        unit.inputs.map((name) => activations.get(name) as Activation),
      );
      activations.set(unit.name, traced.output);
      return { unit, traced };
    }),
  );
  return { activations, steps };
}

/** Walks the tape backwards, adding up gradients where an activation is read more than once. */
function backward(b: GraphBuilder, tape: Tape, gradient: Value): ReadonlyMap<string, Value> {
  const pending = new Map<string, Value>([[tape.steps.at(-1)?.unit.name ?? "", gradient]]);
  const found = new Map<string, Value>();
  // A unit needs its input's gradient only if a parameter lies before it.
  const trainable = new Set<string>();
  for (const { unit } of tape.steps) {
    const own = unit.layers.some((placed) => placed.parameters.some((p) => p.role === "parameter"));
    if (own || unit.inputs.some((i) => trainable.has(i))) trainable.add(unit.name);
  }
  for (const { unit, traced } of [...tape.steps].reverse()) {
    const incoming = pending.get(unit.name);
    pending.delete(unit.name);
    if (!incoming || !trainable.has(unit.name)) continue;
    b.scope(`${unit.name}/backward`, () => {
      const { inputs, parameters } = traced.backward(
        incoming,
        unit.inputs.map((i) => trainable.has(i)),
      );
      unit.inputs.forEach((name, i) => {
        const part = inputs[i];
        if (!part || !trainable.has(name)) return;
        const sum = pending.get(name);
        pending.set(name, sum ? b.add(sum, part) : part);
      });
      for (const [name, value] of Object.entries(parameters)) found.set(name, value);
    });
  }
  return found;
}

/** Collects the program's ports while the graph is written. */
class Ports {
  readonly inputs: Port[] = [];
  readonly outputs: Port[] = [];
  readonly #next = new Map<string, Value>();
  readonly #builder: GraphBuilder;
  constructor(builder: GraphBuilder) {
    this.#builder = builder;
  }
  input(name: string, dtype: DType, shape: Shape, role: PortRole): Value {
    this.inputs.push({ name, dtype, shape, role });
    return this.#builder.input(name, dtype, shape);
  }
  output(name: string, value: Value, role: PortRole, replaces?: string): void {
    const out = this.#builder.output(name, value);
    this.outputs.push({ name, dtype: out.dtype, shape: out.shape, role, ...(replaces === undefined ? {} : { replaces }) });
  }
  set(name: string, next: Value): void {
    this.#next.set(name, next);
  }
  /** Every parameter and state goes out as NAME.next, unchanged where nothing set it. */
  finish(values: ReadonlyMap<string, Value>): void {
    for (const port of this.inputs) {
      if (port.role !== "parameter" && port.role !== "state") continue;
      this.output(`${port.name}.next`, this.#next.get(port.name) ?? (values.get(port.name) as Value), port.role, port.name);
    }
  }
}

/**
 * Compiles a training step of `network`. Inputs: `image` [channels, height, width, batch], raw values, batch innermost;
 * `target` [classes, batch], class probabilities; `learningRate`, a scalar; every parameter and state by its name.
 * Outputs: `loss`, `logits` [classes, batch], and each parameter and state as `NAME.next`.
 * With `jointLoss`, classes are all classes of the task, not the network's own logits: `target` [classCount, batch] is over these, one more input
 * `frozen` [classCount, batch] holds the other branches' summed log-probabilities, and `logits` are the joint scores [classCount, batch].
 * Throws `network` when the network is ill-formed or its output is not a vector, `config` when a joint loss does not fit the network's logits.
 */
export function compileTraining(network: Network, options: TrainingOptions): TrainingProgram {
  const { batchSize, dtype = "float32", labelSmoothing = 0, emaDecay = 0, lossOffset, jointLoss } = options;
  checkBatchSize(batchSize);
  const output = vectorOutput(network);
  const classes = jointLoss?.classCount ?? output.channels;
  const rewritten = forTraining(network);
  const placed = placeLayers(rewritten);
  const b = new GraphBuilder();
  const ports = new Ports(b);
  const { channels, height, width } = network.input;
  const image = ports.input("image", dtype, [channels, height, width, batchSize], "image");
  const target = ports.input("target", dtype, [classes, batchSize], "target");
  const frozen = jointLoss && ports.input("frozen", dtype, [classes, batchSize], "frozen");
  const learningRate = ports.input("learningRate", dtype, [], "learningRate");
  const values = new Map<string, Value>();
  for (const { layer, parameters } of placeLayers(network)) {
    for (const p of parameters) {
      const name = `${layer.name}.${p.name}`;
      values.set(name, ports.input(name, dtype, p.shape, p.role));
    }
  }
  const noise = uniformNumbers(b, dtype, (name) => {
    const state = ports.input(name, "int64", [1], "state");
    values.set(name, state);
    return state;
  });
  const contextOf = ({ layer }: PlacedLayer): TrainingContext => ({
    builder: b,
    dtype,
    batchSize,
    mode: "train",
    parameter: (name) => values.get(`${layer.name}.${name}`) as Value,
    updateState: (name, next) => ports.set(`${layer.name}.${name}`, next),
    uniform: noise.uniform,
  });

  const tape = forward(
    unitsOf(placed, batchSize),
    b.scope("input", () => normalizeInput(b, dtype, network, image, batchSize)),
    contextOf,
    b,
  );
  const last = tape.activations.get(placed.at(-1)?.layer.name ?? "") as Activation;
  const logits = b.reshape(last.value, [output.channels, batchSize]);
  const { loss, gradient, scores } = b.scope("loss", () =>
    jointLoss && frozen
      ? jointCrossEntropy(b, dtype, logits, frozen, target, labelSmoothing, jointLoss)
      : { ...softmaxCrossEntropy(b, dtype, offsetLogits(b, dtype, logits, lossOffset), target, labelSmoothing), scores: logits },
  );
  const gradients = backward(b, tape, b.reshape(gradient, last.value.shape));

  const updates: Update[] = [];
  for (const { layer, parameters } of placed) {
    for (const p of parameters) {
      const name = `${layer.name}.${p.name}`;
      const value = gradients.get(name);
      if (p.role === "parameter" && value) updates.push({ name, parameter: values.get(name) as Value, value, decay: p.decay });
    }
  }
  const stateOf = (name: string, shape: Shape): Value => {
    const state = ports.input(name, dtype, shape, "state");
    values.set(name, state);
    return state;
  };
  b.scope("optimizer", () => {
    const context = { builder: b, dtype, learningRate, state: stateOf, setState: (name: string, next: Value) => ports.set(name, next) };
    for (const u of optimizer(options.optimizer)(context, updates)) {
      const next = b.sub(u.parameter, u.value, u.name);
      ports.set(u.name, next);
      if (emaDecay > 0) {
        const name = `${u.name}.ema`;
        const kept = b.mul(stateOf(name, u.parameter.shape), b.float(dtype, emaDecay));
        ports.set(name, b.add(kept, b.mul(next, b.float(dtype, 1 - emaDecay))));
      }
    }
  });
  noise.finish((name, next) => ports.set(name, next));
  ports.output("loss", loss, "loss");
  ports.output("logits", scores, "logits");
  ports.finish(values);
  if (options.exposeGradients)
    for (const [name, value] of gradients) ports.output(`${name}.gradient`, b.reshape(value, values.get(name)?.shape ?? []), "state");
  return { network, batchSize, dtype, graph: b.build(`${network.name}-train`), inputs: ports.inputs, outputs: ports.outputs };
}

/**
 * First values of every parameter and state of a program, by input name. Parameters are drawn from `seed`; averages of the
 * weights start at the weights; other states start as their layer or optimizer says.
 */
export function initialState(program: TrainingProgram, seed: number): Map<string, Tensor> {
  const parameters = initialParameters(program.network, seed, program.dtype);
  const result = new Map<string, Tensor>();
  for (const port of program.inputs) {
    if (port.role !== "parameter" && port.role !== "state") continue;
    const averaged = port.name.endsWith(".ema") ? parameters.get(port.name.slice(0, -4)) : undefined;
    const own = parameters.get(port.name);
    if (own) result.set(port.name, own);
    else if (averaged) result.set(port.name, { ...averaged, data: averaged.data.slice() } as Tensor);
    else result.set(port.name, otherState(port));
  }
  return result;
}

function otherState(port: Port): Tensor {
  const state = zeros(port.dtype, port.shape);
  // Powers of Adam's betas start at 1; velocities, moments and counters at 0.
  if (port.name.endsWith("_power")) (state.data as Float32Array).fill(1);
  return state;
}

/** Bytes of one copy of a program's parameters and states. */
export function stateBytes(program: TrainingProgram): number {
  return program.inputs
    .filter((p) => p.role === "parameter" || p.role === "state")
    .reduce((sum, p) => sum + sizeOf(p.shape) * (p.dtype === "float32" ? 4 : 8), 0);
}
