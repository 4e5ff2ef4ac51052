/** A small helper to write networks layer after layer. */
import {
  inputName,
  type Layer,
  type LayerAttributes,
  type LayerType,
  type Network,
  type NetworkInput,
  type Pair,
} from "../network/network.ts";
import { outputShape } from "../network/shapes.ts";

/** Both extents alike. */
export const square = (n: number): Pair => [n, n];

/** The usual convolution: stride 1, no padding, one group, no bias, unless said otherwise. */
export function convolution(
  outChannels: number,
  kernel: number,
  options: Partial<LayerAttributes["conv2d"]> = {},
): LayerAttributes["conv2d"] {
  return { outChannels, kernel: square(kernel), stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1, bias: false, ...options };
}

export const standardBatchNorm: LayerAttributes["batchNorm"] = { epsilon: 1e-5, momentum: 0.1 };
export const halvingPool: LayerAttributes["maxPool"] = { kernel: [2, 2], stride: [2, 2], padding: [0, 0] };

export interface Chain {
  /** Adds a layer that reads the layer before it, or those named; returns its name. */
  push<T extends LayerType>(type: T, name: string, attributes: LayerAttributes[T], inputs?: readonly string[]): string;
  /** Name of the layer added last. */
  last(): string;
  network(name: string): Network;
}

/** Starts a network at its input. */
export function chain(input: NetworkInput): Chain {
  const layers: Layer[] = [];
  const last = (): string => layers.at(-1)?.name ?? inputName;
  return {
    last,
    push(type, name, attributes, inputs = [last()]) {
      layers.push({ type, name, inputs, ...attributes } as Layer);
      return name;
    },
    network: (name) => ({ name, input, layers }),
  };
}

/** Adds a 2x2 pool of stride 2, unless what it would read is a single row or column. */
export function pool(net: Chain, name: string): void {
  const { height, width } = outputShape(net.network("unfinished"));
  if (Math.min(height, width) >= 2) net.push("maxPool", name, halvingPool);
}
