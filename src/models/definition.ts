/** What a network is that can be asked for by name: how to build it for any input and number of classes, and which rates suit it. */
import type { Network, NetworkInput } from "../network/network.ts";

/** Peak learning rates for SGD with momentum 0.9 and batches of 64. */
export interface LearningRates {
  /** Of the network at half to full width. */
  readonly wide: number;
  /** Of its narrow sub-models, which bear a higher rate. */
  readonly narrow: number;
}

/** A network by its name. */
export interface NetworkDefinition {
  /** What it is asked for by, and the name of the networks that it builds. */
  readonly name: string;
  /** One line for people. */
  readonly title: string;
  /** Rates when nothing else is asked for; 0.05 when absent. */
  readonly learningRate?: LearningRates;
  /**
   * The network at full width; narrower ones follow from it. `input` is one sample's shape and normalization; the last layer is `linear`
   * with `classes` outputs.
   */
  build(input: NetworkInput, classes: number): Network;
}

/**
 * The definition itself, checked by the compiler: what a module exports to add a network in one file. The networks that come with
 * Sheaf are such definitions too.
 * @example
 * export default defineNetwork({
 *   name: "one-layer",
 *   title: "Global average and a linear layer",
 *   learningRate: { wide: 0.1, narrow: 0.1 },
 *   build(input, classes) {
 *     const net = chain(input);
 *     net.push("globalAvgPool", "pool", {});
 *     net.push("linear", "classifier", { outFeatures: classes, bias: true });
 *     return net.network("one-layer");
 *   },
 * });
 */
export function defineNetwork<const D extends NetworkDefinition>(definition: D): D {
  return definition;
}
