/** Fully connected layers and normalization: what has weights but no window. */
import { floats, type Tensor } from "../../util/tensor.ts";
import type { Draft } from "../draft.ts";
import type { NodeReader } from "../nodeReader.ts";
import { type Activation, channelOrder, describeShape, numbersOf } from "../values.ts";
import { type Family, type Operator, weights } from "./operator.ts";

/** Weights [out, in] of a matrix that multiplies from the right, or its transpose, with columns in Sheaf's order of channels. */
function linearWeight(x: Activation, matrix: Tensor, transposed: boolean, factor: number): Tensor {
  const [rows = 0, columns = 0] = matrix.shape;
  const [outputs, inputs] = transposed ? [rows, columns] : [columns, rows];
  const reordered = x.flattenedFrom !== undefined;
  if (transposed && factor === 1 && !reordered) return matrix;
  const order = channelOrder(x);
  const source = matrix.data as Float32Array;
  const data = new Float32Array(outputs * inputs);
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) {
      const from = reordered ? order(i) : i;
      data[o * inputs + i] = (source[transposed ? o * inputs + from : from * outputs + o] as number) * factor;
    }
  }
  return { dtype: "float32", shape: [outputs, inputs], data };
}

function linear(node: NodeReader, draft: Draft, x: Activation, weight: Tensor, bias: Tensor | undefined, weightName: string | undefined) {
  const [outFeatures = 0, inputs = 0] = weight.shape;
  if (inputs !== x.feature.channels) node.fail(`has weights for ${inputs} values, but reads ${x.feature.channels}`);
  return draft.emit(node.node, "linear", { outFeatures, bias: bias !== undefined }, [x], {
    parameters: bias ? { weight, bias } : { weight },
    weightName,
    shape: [x.shape[0] as number, outFeatures],
  });
}

/** A vector per sample, [N, features]. */
function rows(node: NodeReader): Activation {
  const x = node.activation(0);
  return x.shape.length === 2
    ? x
    : node.fail(`multiplies ${describeShape(x.shape)} by a matrix; Sheaf reads that for vectors [N, features]`);
}

function matrixOf(node: NodeReader): Tensor {
  const matrix = weights(node, 1);
  return matrix.shape.length === 2
    ? matrix
    : node.fail(`multiplies by weights of shape ${describeShape(matrix.shape)}; Sheaf reads matrices`);
}

const gemm: Operator = (node, draft) => {
  const x = rows(node);
  if (node.int("transA", 0) === 1) node.fail("transposes its input (transA)");
  const weight = linearWeight(x, matrixOf(node), node.int("transB", 0) === 1, node.float("alpha", 1));
  const addend = node.inputs[2] === undefined ? undefined : weights(node, 2);
  const beta = node.float("beta", 1);
  const outputs = weight.shape[0] as number;
  let bias: Tensor | undefined;
  if (addend) {
    const values = numbersOf(addend);
    const fits = (values.length === 1 || values.length === outputs) && addend.shape.slice(0, -1).every((e) => e === 1);
    if (!fits) node.fail(`adds ${describeShape(addend.shape)}, which is not one value for each of its ${outputs} outputs`);
    bias =
      values.length === outputs && beta === 1
        ? { ...addend, shape: [outputs] }
        : floats(
            "float32",
            [outputs],
            Array.from({ length: outputs }, (_, i) => beta * (values[values.length === 1 ? 0 : i] as number)),
          );
  }
  return linear(node, draft, x, weight, bias, node.node.inputs[1]);
};

const matMul: Operator = (node, draft) => {
  const x = rows(node);
  return linear(node, draft, x, linearWeight(x, matrixOf(node), false, 1), undefined, node.node.inputs[1]);
};

const batchNormalization: Operator = (node, draft) => {
  const x = node.activation(0);
  if (node.int("spatial", 1) === 0) node.fail("normalizes each pixel by itself (spatial = 0)");
  if (node.int("training_mode", 0) === 1) node.fail("is in training mode; export the model for inference");
  if (x.shape.length > 2 && x.channelAxis !== 1) node.fail("normalizes along another axis than the channels");
  const order = channelOrder(x);
  const row = (index: number): Tensor => {
    const value = weights(node, index);
    if (value.data.length !== x.feature.channels) node.fail(`has ${value.data.length} values for ${x.feature.channels} channels`);
    if (!x.flattenedFrom) return value;
    return floats(
      "float32",
      value.shape,
      Array.from({ length: value.data.length }, (_, c) => value.data[order(c)] as number),
    );
  };
  const parameters = { weight: row(1), bias: row(2), running_mean: row(3), running_var: row(4) };
  // ONNX's momentum is the share that the old average keeps.
  const momentum = Number((1 - node.float("momentum", 0.9)).toPrecision(6));
  const epsilon = node.float("epsilon", Math.fround(1e-5));
  return draft.emit(node.node, "batchNorm", { epsilon, momentum }, [x], { parameters, weightName: node.node.inputs[1] });
};

export type DenseOperator = "Gemm" | "MatMul" | "BatchNormalization";

export const denseOperators: Family<DenseOperator> = { Gemm: gemm, MatMul: matMul, BatchNormalization: batchNormalization };
