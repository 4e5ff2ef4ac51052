/** Activation functions, and what does nothing in a deployed model. */
import type { LayerAttributes } from "../../network/network.ts";
import type { NodeReader } from "../nodeReader.ts";
import { type Imported, numbersOf } from "../values.ts";
import { type Family, type Operator, pointwise } from "./operator.ts";

const largest = 3.4028234663852886e38;

const clip: Operator = (node, draft) => {
  const x = node.activation(0);
  const limit = (index: number, name: string, none: number): number => {
    const value = node.optionalConstant(index);
    const given = value ? (numbersOf(value)[0] as number) : node.float(name, none);
    return Math.min(Math.max(given, -largest), largest);
  };
  const minimum = limit(1, "min", -largest);
  const maximum = limit(2, "max", largest);
  if (minimum === 0 && maximum === largest) return draft.emit(node.node, "relu", {}, [x], { nonNegative: true });
  return draft.emit(node.node, "clip", { minimum, maximum }, [x], { nonNegative: minimum >= 0 });
};

/** A softmax is not part of a network, whose outputs are logits: it may only come last. */
const softmax =
  (ending: "softmax" | "logSoftmax"): Operator =>
  (node, draft, around) => {
    const x = node.activation(0);
    if (!around.endsInOutput(node.node.outputs[0] as string))
      node.fail("stands in the middle of the model; Sheaf reads it as the last step alone");
    const rank = x.shape.length;
    const asked = node.int("axis", node.opset < 13 ? 1 : -1);
    const axis = asked < 0 ? asked + rank : asked;
    // Older operator sets go over all axes from this one on.
    const overChannels = node.opset < 13 ? axis >= 1 && axis <= x.channelAxis : axis === x.channelAxis;
    if (!overChannels || x.feature.height * x.feature.width !== 1)
      node.fail(`goes over axis ${asked} of [${x.shape.join(", ")}], which is not the classes`);
    draft.ending = ending;
    draft.notes.add(`The ${node.node.op} at the end was left out: a network ends in logits.`);
    return x;
  };

const dropout: Operator = (node, draft) => {
  const x = node.activation(0);
  const given = node.optionalConstant(1);
  const probability = given ? (numbersOf(given)[0] as number) : node.float("ratio", 0.5);
  if (!(probability > 0 && probability < 1)) return x;
  return draft.emit(node.node, "dropout", { probability }, [x], { nonNegative: x.nonNegative, shape: x.shape });
};

const cast: Operator = (node) => {
  const x = node.activation(0);
  return node.int("to", 0) === 1 ? x : node.fail("casts an activation to another type than float32");
};

const unchanged: Operator = (node): Imported => node.activation(0);

const leakyRelu = (node: NodeReader): LayerAttributes["leakyRelu"] => ({ slope: node.float("alpha", Math.fround(0.01)) });

export type PointwiseOperator =
  | "Relu"
  | "LeakyRelu"
  | "Sigmoid"
  | "HardSwish"
  | "Clip"
  | "Softmax"
  | "LogSoftmax"
  | "Dropout"
  | "Identity"
  | "Cast";

export const pointwiseOperators: Family<PointwiseOperator> = {
  Relu: pointwise(
    "relu",
    () => ({}),
    () => true,
  ),
  LeakyRelu: pointwise("leakyRelu", leakyRelu),
  Sigmoid: pointwise(
    "sigmoid",
    () => ({}),
    () => true,
  ),
  HardSwish: pointwise("hardSwish", () => ({})),
  Clip: clip,
  Softmax: softmax("softmax"),
  LogSoftmax: softmax("logSoftmax"),
  Dropout: dropout,
  Identity: unchanged,
  Cast: cast,
};
