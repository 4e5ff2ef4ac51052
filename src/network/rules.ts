/** The questions every layer type answers, once, in one file of `layers/`. */
import type { GraphBuilder } from "../onnx/builder.ts";
import type { Value } from "../onnx/graph.ts";
import type { FloatDType, Shape } from "../util/tensor.ts";
import type { FeatureShape, Layer, LayerType } from "./network.ts";

/** How a parameter starts. Gains and bounds follow PyTorch's initializers. */
export type Initializer =
  | { readonly type: "constant"; readonly value: number }
  /** Normal with standard deviation sqrt(2 / fan) (He et al. 2015). */
  | { readonly type: "kaimingNormal"; readonly fan: number }
  /** Uniform in +-bound. */
  | { readonly type: "uniform"; readonly bound: number };

/** A parameter (trained by gradient) or a state (kept by the layer itself, such as running statistics). */
export interface ParameterSpec {
  /** Name within the layer, as in PyTorch: `weight`, `bias`, `running_mean`. */
  readonly name: string;
  readonly shape: Shape;
  readonly role: "parameter" | "state";
  readonly initializer: Initializer;
  /** Whether weight decay applies: to weights, not to biases and normalization scales. */
  readonly decay: boolean;
}

/**
 * An activation in the training layout: `value` is [channels, height * width, batch], batch innermost.
 * Every spatial operation is then a table of pixel indices over contiguous runs of `batch` floats.
 */
export interface Activation {
  readonly value: Value;
  readonly shape: FeatureShape;
}

/** What a layer may use while it writes its training form. */
export interface TrainingContext {
  readonly builder: GraphBuilder;
  readonly dtype: FloatDType;
  readonly batchSize: number;
  /** `evaluate` writes the forward pass with running statistics and without dropout. */
  readonly mode: "train" | "evaluate";
  /** The current value of one of the layer's own parameters or states. */
  parameter(name: string): Value;
  /** Declares the next value of one of the layer's states. */
  updateState(name: string, next: Value): void;
  /** Uniform random numbers in [0, 1), new in every step, the same for the same state. */
  uniform(shape: Shape): Value;
}

/** What a backward pass gives: one entry per input (undefined where it was not asked for) and per parameter. */
export interface Gradients {
  readonly inputs: readonly (Value | undefined)[];
  readonly parameters: Readonly<Record<string, Value>>;
}

/** A layer's forward pass, written; its backward pass, ready to be written, with what it kept in its closure. */
export interface Traced {
  readonly output: Activation;
  /** `gradient` has the output's layout; `wanted[i]` says whether the gradient of input i is needed. */
  backward(gradient: Value, wanted: readonly boolean[]): Gradients;
}

/** What a layer may use while it writes its deployable form: NCHW, standard inference operators. */
export interface DeployContext {
  readonly builder: GraphBuilder;
  readonly dtype: FloatDType;
  parameter(name: string): Value;
}

/** How a layer's output width follows from others when a network is made narrower; read by `narrow.ts`. */
export type WidthRule =
  /** Has a width of its own. */
  | "own"
  /** As wide as its (first) input; all inputs share one width. */
  | "same"
  /** The widths of its inputs, one after another. */
  | "sum";

export interface LayerRules<T extends LayerType> {
  /** Least and greatest number of inputs. */
  readonly arity: readonly [number, number];
  /** Throws `network` when the attributes or the inputs' shapes do not fit. */
  outputShape(layer: Layer<T>, inputs: readonly FeatureShape[]): FeatureShape;
  parameters(layer: Layer<T>, inputs: readonly FeatureShape[]): readonly ParameterSpec[];
  /** Multiply-adds of one sample's forward pass; convolutions and linear layers only, as is usual. */
  macs(layer: Layer<T>, inputs: readonly FeatureShape[], output: FeatureShape): number;
  /** Values per sample that a training step holds for this layer until its backward pass is done, beside its output. */
  workspaceElements(layer: Layer<T>, inputs: readonly FeatureShape[], output: FeatureShape): number;
  width(layer: Layer<T>): WidthRule;
  /** Training form: forward now, backward on demand. */
  train(context: TrainingContext, layer: Layer<T>, inputs: readonly Activation[], output: FeatureShape): Traced;
  /** Deployable form: inputs and output are [N, C, H, W], or [N, features] after `flatten`. */
  deploy(context: DeployContext, layer: Layer<T>, inputs: readonly Value[], shapes: readonly FeatureShape[], output: FeatureShape): Value;
}
