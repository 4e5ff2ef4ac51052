/** What a name of the foreign graph stands for while it is read: a constant, or an activation with the way its axes lie. */
import type { FeatureShape } from "../network/network.ts";
import type { Shape, Tensor } from "../util/tensor.ts";

export interface Constant {
  readonly kind: "constant";
  readonly tensor: Tensor;
}

export interface Activation {
  readonly kind: "activation";
  /** Layer whose output it is. */
  readonly layer: string;
  /** One sample's extents, as Sheaf has them. */
  readonly feature: FeatureShape;
  /** Shape in the foreign graph, batch first. */
  readonly shape: Shape;
  /** Axis of `shape` along which channels lie: 1 in NCHW, 3 in NHWC. */
  readonly channelAxis: number;
  /** Set on a vector that was flattened from [height, width, channels]: its values stand in that order in the foreign graph. */
  readonly flattenedFrom?: FeatureShape;
  /** Known to hold no negative value, so that zeros around it change no maximum. */
  readonly nonNegative: boolean;
  /** Read by more than one node somewhere on its way from the layer: what follows may not be folded into the layer. */
  readonly shared: boolean;
}

export type Imported = Constant | Activation;

export const isVector = ({ height, width }: FeatureShape): boolean => height === 1 && width === 1;
export const describeShape = (shape: readonly (number | string)[]): string => `[${shape.join(", ")}]`;

/** The values of a tensor as plain numbers. */
export function numbersOf(value: Tensor): number[] {
  return Array.from(value.data as ArrayLike<number | bigint>, Number);
}

/** Axes along which pixels lie, height first; empty unless the activation has four axes. */
export function pixelAxes({ shape, channelAxis }: Activation): readonly number[] {
  return shape.length === 4 ? [1, 2, 3].filter((axis) => axis !== channelAxis) : [];
}

/** For each of Sheaf's channels, its place in the foreign order. */
export function channelOrder({ feature, flattenedFrom }: Activation): (channel: number) => number {
  if (!flattenedFrom || isVector(flattenedFrom)) return (c) => c;
  const { channels } = flattenedFrom;
  const pixels = feature.channels / channels;
  return (c) => (c % pixels) * channels + Math.floor(c / pixels);
}
