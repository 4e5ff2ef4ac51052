/**
 * Optimizers as chains of small pieces: each piece turns the updates of all parameters into new updates, in the graph.
 * The last piece leaves what is subtracted from the parameters. Piece by piece after optax.
 */
import type { GraphBuilder } from "../onnx/builder.ts";
import type { Value } from "../onnx/graph.ts";
import type { FloatDType } from "../util/tensor.ts";

/** A parameter on its way through an optimizer. */
export interface Update {
  readonly name: string;
  /** Current value of the parameter. */
  readonly parameter: Value;
  /** Its gradient at first, what is to be subtracted from it at last. */
  readonly value: Value;
  /** Whether weight decay applies to it. */
  readonly decay: boolean;
}

export interface OptimizerContext {
  readonly builder: GraphBuilder;
  readonly dtype: FloatDType;
  /** Scalar input, set by the schedule in every step. */
  readonly learningRate: Value;
  /** Declares a state of the optimizer, `initial` everywhere at first; returns its current value. */
  state(name: string, shape: readonly number[], initial: number): Value;
  /** Sets what a declared state becomes. */
  setState(name: string, next: Value): void;
}

export type OptimizerPiece = (context: OptimizerContext, updates: readonly Update[]) => readonly Update[];

const each =
  (change: (context: OptimizerContext, update: Update) => Value): OptimizerPiece =>
  (context, updates) =>
    updates.map((u) => ({ ...u, value: change(context, u) }));

/** Adds `rate` times the parameter: L2 regularization before a preconditioner, decoupled decay (Loshchilov and Hutter 2019) after it. */
export function addDecayedWeights(rate: number): OptimizerPiece {
  return each(({ builder: b, dtype }, u) => (rate > 0 && u.decay ? b.add(u.value, b.mul(u.parameter, b.float(dtype, rate))) : u.value));
}

/** Scales all gradients down together where their global norm exceeds `limit` (Pascanu et al. 2013). */
export function clipGlobalNorm(limit: number): OptimizerPiece {
  return (context, updates) => {
    const { builder: b, dtype } = context;
    const squares = updates.map((u) => b.op("ReduceSumSquare", [u.value], { keepdims: 0 }));
    const norm = b.op("Sqrt", [squares.length === 1 ? (squares[0] as Value) : b.op("Sum", squares)], {}, "globalNorm");
    const scale = b.op("Min", [b.float(dtype, 1), b.div(b.float(dtype, limit), b.add(norm, b.float(dtype, 1e-6)))]);
    return updates.map((u) => ({ ...u, value: b.mul(u.value, scale) }));
  };
}

/** Heavy-ball or Nesterov momentum in PyTorch's form: v = momentum * v + g; the update is v, or g + momentum * v. */
export function trace(momentum: number, nesterov: boolean): OptimizerPiece {
  return each((context, u) => {
    const { builder: b, dtype } = context;
    const factor = b.float(dtype, momentum);
    const name = `${u.name}.momentum`;
    const velocity = b.add(b.mul(context.state(name, u.parameter.shape, 0), factor), u.value);
    context.setState(name, velocity);
    return nesterov ? b.add(u.value, b.mul(velocity, factor)) : velocity;
  });
}

export interface AdamOptions {
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
}

/** Adam's preconditioner with bias correction (Kingma and Ba 2015). */
export function scaleByAdam({ beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 }: AdamOptions = {}): OptimizerPiece {
  return (context, updates) => {
    const { builder: b, dtype } = context;
    const f = (v: number): Value => b.float(dtype, v);
    // beta^t is kept as a state, so that the graph needs no step counter.
    const power = (name: string, beta: number): Value => {
      const next = b.mul(context.state(name, [], 1), f(beta));
      context.setState(name, next);
      return b.sub(f(1), next);
    };
    const [correction1, correction2] = [power("adam.beta1_power", beta1), power("adam.beta2_power", beta2)];
    return updates.map((u) => {
      const moment = (suffix: string, beta: number, sample: Value): Value => {
        const name = `${u.name}.${suffix}`;
        const next = b.add(b.mul(context.state(name, u.parameter.shape, 0), f(beta)), b.mul(sample, f(1 - beta)));
        context.setState(name, next);
        return next;
      };
      const first = b.div(moment("exp_avg", beta1, u.value), correction1);
      const second = b.div(moment("exp_avg_sq", beta2, b.mul(u.value, u.value)), correction2);
      return { ...u, value: b.div(first, b.add(b.op("Sqrt", [second]), f(epsilon))) };
    });
  };
}

/**
 * Adds `mu` times the way from where training started, the gradient of mu/2 |w - w0|^2 (Li et al. 2020, FedProx). The start w0 is the state
 * `NAME.anchor`, which never changes; whoever trains gives it.
 */
export function pullToStart(mu: number): OptimizerPiece {
  return each((context, u) => {
    const { builder: b, dtype } = context;
    const start = context.state(`${u.name}.anchor`, u.parameter.shape, 0);
    return b.add(u.value, b.mul(b.sub(u.parameter, start), b.float(dtype, mu)));
  });
}

/** Multiplies by the learning rate; the last piece of every optimizer here. */
export const scaleByLearningRate: OptimizerPiece = each(({ builder: b, learningRate }, u) => b.mul(u.value, learningRate));

/** Runs pieces one after another. */
export function chain(...pieces: readonly OptimizerPiece[]): OptimizerPiece {
  return (context, updates) => pieces.reduce((current, piece) => piece(context, current), updates);
}

/** What every optimizer has. */
interface CommonOptions {
  readonly weightDecay: number;
  readonly clipNorm?: number;
  /** Weight of the pull to the start of training; 0 (none) by default. See `pullToStart`. */
  readonly proximal?: number;
}

/** Settings of every optimizer, as they stand in a configuration. */
export interface OptimizerOptions {
  readonly sgd: CommonOptions & { readonly momentum: number; readonly nesterov: boolean };
  readonly adam: CommonOptions & AdamOptions;
  readonly adamw: CommonOptions & AdamOptions;
}
export type OptimizerType = keyof OptimizerOptions;
export type OptimizerConfig = { readonly [T in OptimizerType]: { readonly type: T } & OptimizerOptions[T] }[OptimizerType];

const clipped = (norm: number | undefined): readonly OptimizerPiece[] => (norm ? [clipGlobalNorm(norm)] : []);
const pulled = (mu: number | undefined): readonly OptimizerPiece[] => (mu ? [pullToStart(mu)] : []);

/** The total table of optimizers. */
export const optimizers: { readonly [T in OptimizerType]: (options: OptimizerOptions[T]) => OptimizerPiece } = {
  sgd: ({ momentum, nesterov, weightDecay, clipNorm, proximal }) =>
    chain(
      ...clipped(clipNorm),
      ...pulled(proximal),
      addDecayedWeights(weightDecay),
      ...(momentum > 0 ? [trace(momentum, nesterov)] : []),
      scaleByLearningRate,
    ),
  adam: ({ weightDecay, clipNorm, proximal, ...adam }) =>
    chain(...clipped(clipNorm), ...pulled(proximal), addDecayedWeights(weightDecay), scaleByAdam(adam), scaleByLearningRate),
  adamw: ({ weightDecay, clipNorm, proximal, ...adam }) =>
    chain(...clipped(clipNorm), ...pulled(proximal), scaleByAdam(adam), addDecayedWeights(weightDecay), scaleByLearningRate),
};

/** The chain of a configuration. */
export function optimizer(config: OptimizerConfig): OptimizerPiece {
  return (optimizers[config.type] as (options: OptimizerConfig) => OptimizerPiece)(config);
}
