/** Networks as plain data: a graph of layers. What is known of a layer type stands in `layers/TYPE.ts`. */

/** Extents of one sample's activation. Vectors are `{ channels: n, height: 1, width: 1 }`. */
export interface FeatureShape {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/** A pair along height and width. */
export type Pair = readonly [height: number, width: number];

/** Attributes of every layer type. Names are PyTorch's; extents are `[height, width]`. */
export interface LayerAttributes {
  /** Convolution, any kernel, stride, zero padding (the same on both sides), dilation and groups. */
  readonly conv2d: {
    readonly outChannels: number;
    readonly kernel: Pair;
    readonly stride: Pair;
    readonly padding: Pair;
    readonly dilation: Pair;
    readonly groups: number;
    readonly bias: boolean;
  };
  /** Batch normalization over batch and pixels (Ioffe and Szegedy 2015). `momentum` weighs the newest batch, as in PyTorch. */
  readonly batchNorm: { readonly epsilon: number; readonly momentum: number };
  /** Group normalization (Wu and He 2018). */
  readonly groupNorm: { readonly groups: number; readonly epsilon: number };
  readonly relu: object;
  /** Rectifier that multiplies negative values by `slope` instead. */
  readonly leakyRelu: { readonly slope: number };
  /** Values held between two limits: ReLU6 is 0 to 6. */
  readonly clip: { readonly minimum: number; readonly maximum: number };
  readonly sigmoid: object;
  /** x * clip(x / 6 + 1/2, 0, 1). */
  readonly hardSwish: object;
  /** Zeros around the image; pads each side by itself, which a convolution's own padding does not. */
  readonly zeroPad: { readonly padding: readonly [top: number, left: number, bottom: number, right: number] };
  /** Largest value of each window; padded places never win. */
  readonly maxPool: { readonly kernel: Pair; readonly stride: Pair; readonly padding: Pair };
  /** Mean of each window; padded places count as zeros when `countPadding` is set, else not at all. */
  readonly avgPool: { readonly kernel: Pair; readonly stride: Pair; readonly padding: Pair; readonly countPadding: boolean };
  readonly globalAvgPool: object;
  /** [channels, height, width] to a vector, in that order. */
  readonly flatten: object;
  readonly linear: { readonly outFeatures: number; readonly bias: boolean };
  /** Zeroes each value with this probability in training and scales the others up (Srivastava et al. 2014). */
  readonly dropout: { readonly probability: number };
  /** Sum of two or more activations of one shape. */
  readonly add: object;
  /** Concatenation along channels. */
  readonly concat: object;
}

export type LayerType = keyof LayerAttributes;

interface LayerPlace {
  /** Unique in its network; prefix of its parameters' names. Letters, digits, `_` and `-`. */
  readonly name: string;
  /** Names of the layers it reads; `input` is the network's input. */
  readonly inputs: readonly string[];
}

/** A layer of type `T`; over all types, a union discriminated by `type`. */
export type Layer<T extends LayerType = LayerType> = { [K in T]: LayerPlace & { readonly type: K } & LayerAttributes[K] }[T];

/** What goes in: raw values, which the network itself normalizes to `(x - mean) / std` per channel. */
export interface NetworkInput extends FeatureShape {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** A network; layers in topological order, the last one is the output (logits). */
export interface Network {
  readonly name: string;
  readonly input: NetworkInput;
  readonly layers: readonly Layer[];
}

/** Name by which layers refer to the network's input. */
export const inputName = "input";
