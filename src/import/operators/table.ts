/** The total table of ONNX operators that can stand in an imported network; those worked out on constants are in `fold.ts`. */
import { type CombiningOperator, combiningOperators } from "./combine.ts";
import { type DenseOperator, denseOperators } from "./dense.ts";
import type { Operator } from "./operator.ts";
import { type PointwiseOperator, pointwiseOperators } from "./pointwise.ts";
import { type ShapeOperator, shapeOperators } from "./shapes.ts";
import { type WindowOperator, windowOperators } from "./windows.ts";

export type OperatorName = WindowOperator | DenseOperator | PointwiseOperator | CombiningOperator | ShapeOperator;

export const operators: { readonly [O in OperatorName]: Operator } = {
  ...windowOperators,
  ...denseOperators,
  ...pointwiseOperators,
  ...combiningOperators,
  ...shapeOperators,
};

/** The row of an operator; undefined for one that Sheaf does not read. */
export function operatorOf(name: string): Operator | undefined {
  return Object.hasOwn(operators, name) ? operators[name as OperatorName] : undefined;
}
