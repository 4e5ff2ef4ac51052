/** What a row of the operator table is, and what several rows need. */
import type { LayerAttributes, LayerType } from "../../network/network.ts";
import { broadcastShapes } from "../../onnx/ops.ts";
import { sameShape, type Tensor } from "../../util/tensor.ts";
import type { Draft } from "../draft.ts";
import type { NodeReader } from "../nodeReader.ts";
import { type Activation, channelOrder, describeShape, type Imported, numbersOf } from "../values.ts";

/** What a node sees of the graph around it. */
export interface Surroundings {
  /** Whether nothing but the model's output comes of a value. */
  endsInOutput(name: string): boolean;
}

/** Reads one node into the draft and says what its first output stands for. Throws `Unreadable` with a reason. */
export type Operator = (node: NodeReader, draft: Draft, around: Surroundings) => Imported;

/** The rows of one family of operators. */
export type Family<Name extends string> = { readonly [N in Name]: Operator };

/** An operator that is one layer of one input, value by value. */
export function pointwise<T extends LayerType>(
  type: T,
  attributes: (node: NodeReader) => LayerAttributes[T],
  nonNegative: (attributes: LayerAttributes[T], x: Activation) => boolean = () => false,
): Operator {
  return (node, draft) => {
    const x = node.activation(0);
    const values = attributes(node);
    return draft.emit(node.node, type, values, [x], { nonNegative: nonNegative(values, x) });
  };
}

/** One value per channel, in Sheaf's order, of a constant that is broadcast to an activation. */
export function perChannel(node: NodeReader, value: Tensor, x: Activation): readonly number[] {
  const { shape, channelAxis, feature } = x;
  const broadcast = broadcastShapes(shape, value.shape);
  const offset = shape.length - value.shape.length;
  const varies = value.shape.some((extent, i) => extent !== 1 && i + offset !== channelAxis);
  if (!broadcast || !sameShape(broadcast, shape) || varies) {
    return node.fail(
      `combines an activation ${describeShape(shape)} with a constant ${describeShape(value.shape)}, which is not one per channel`,
    );
  }
  const values = numbersOf(value);
  const order = channelOrder(x);
  return Array.from({ length: feature.channels }, (_, c) => (values.length === 1 ? values[0] : values[order(c)]) as number);
}

/** Weights must be float32, as Sheaf's are. */
export function weights(node: NodeReader, index: number): Tensor {
  const value = node.constant(index);
  return value.dtype === "float32" ? value : node.fail(`has weights of type ${value.dtype}; Sheaf reads float32`);
}

/** An activation that is an image with channels first, as convolutions and pools want it. */
export function image(node: NodeReader, index = 0): Activation {
  const x = node.activation(index);
  if (x.shape.length !== 4) return node.fail(`reads ${describeShape(x.shape)}; Sheaf needs images [N, C, H, W]`);
  if (x.channelAxis !== 1) return node.fail("reads an image whose channels come last");
  return x;
}
