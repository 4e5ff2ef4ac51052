/** Short ways to write networks down in tests. Layers without `inputs` read the layer before them. */
import type { Layer, LayerAttributes, LayerType, Network, NetworkInput, Pair } from "../../src/network/network.ts";

/** A layer whose inputs default to the layer before it. */
export type Draft = {
  [T in LayerType]: { readonly type: T; readonly name: string; readonly inputs?: readonly string[] } & LayerAttributes[T];
}[LayerType];

/** An input of `channels` x `height` x `width` with a normalization that is not the identity. */
export function inputOf(channels: number, height: number, width: number): NetworkInput {
  return {
    channels,
    height,
    width,
    mean: Array.from({ length: channels }, (_, c) => 0.25 * (c + 1)),
    std: Array.from({ length: channels }, (_, c) => 0.5 + 0.25 * c),
  };
}

/** A network of these layers. */
export function networkOf(input: NetworkInput, drafts: readonly Draft[], name = "test"): Network {
  const layers = drafts.map((draft, i): Layer => ({ ...draft, inputs: draft.inputs ?? [drafts[i - 1]?.name ?? "input"] }));
  return { name, input, layers };
}

type ConvOptions = Partial<LayerAttributes["conv2d"]>;

/** A convolution; 3x3, stride 1, padding 1, one group and a bias unless told otherwise. */
export function conv(name: string, outChannels: number, options: ConvOptions & { readonly inputs?: readonly string[] } = {}): Draft {
  return {
    type: "conv2d",
    name,
    outChannels,
    kernel: [3, 3],
    stride: [1, 1],
    padding: [1, 1],
    dilation: [1, 1],
    groups: 1,
    bias: true,
    ...options,
  };
}

export const relu = (name: string, ...inputs: readonly string[]): Draft => ({
  type: "relu",
  name,
  ...(inputs.length > 0 ? { inputs } : {}),
});
export const leakyRelu = (name: string, slope: number): Draft => ({ type: "leakyRelu", name, slope });
export const clip = (name: string, minimum: number, maximum: number): Draft => ({ type: "clip", name, minimum, maximum });
export const sigmoid = (name: string): Draft => ({ type: "sigmoid", name });
export const hardSwish = (name: string): Draft => ({ type: "hardSwish", name });
export const zeroPad = (name: string, ...padding: LayerAttributes["zeroPad"]["padding"]): Draft => ({ type: "zeroPad", name, padding });
export const batchNorm = (name: string): Draft => ({ type: "batchNorm", name, epsilon: 1e-5, momentum: 0.1 });
export const groupNorm = (name: string, groups: number): Draft => ({ type: "groupNorm", name, groups, epsilon: 1e-5 });
export const maxPool = (name: string, kernel: Pair, stride: Pair = kernel, padding: Pair = [0, 0]): Draft => ({
  type: "maxPool",
  name,
  kernel,
  stride,
  padding,
});
export const avgPool = (name: string, kernel: Pair, stride: Pair = kernel, padding: Pair = [0, 0], countPadding = true): Draft => ({
  type: "avgPool",
  name,
  kernel,
  stride,
  padding,
  countPadding,
});
export const globalAvgPool = (name: string): Draft => ({ type: "globalAvgPool", name });
export const flatten = (name: string): Draft => ({ type: "flatten", name });
export const linear = (name: string, outFeatures: number, bias = true): Draft => ({ type: "linear", name, outFeatures, bias });
export const dropout = (name: string, probability: number): Draft => ({ type: "dropout", name, probability });
export const add = (name: string, ...inputs: readonly string[]): Draft => ({ type: "add", name, inputs });
export const concat = (name: string, ...inputs: readonly string[]): Draft => ({ type: "concat", name, inputs });
