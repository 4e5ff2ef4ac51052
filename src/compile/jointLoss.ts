/** The joint softmax of settling: one branch's logits on top of a constant score of all the others. */
import type { GraphBuilder } from "../onnx/builder.ts";
import type { Value } from "../onnx/graph.ts";
import { SheafError } from "../util/errors.ts";
import { type FloatDType, floats } from "../util/tensor.ts";
import { softmaxCrossEntropy } from "./loss.ts";

/** Which classes a branch owns, of how many there are. */
export interface JointLossOptions {
  /** Class ids, ascending, one for each logit but the last, which is "other". */
  readonly taskSet: readonly number[];
  readonly classCount: number;
}

export interface JointLoss {
  /** Mean over the batch, a scalar. */
  readonly loss: Value;
  /** Gradient with respect to the branch's logits, [own classes and "other", batch]. */
  readonly gradient: Value;
  /** The joint scores, [classes, batch]. */
  readonly scores: Value;
}

/** Throws `config` unless the task set names each of `logits - 1` classes once. */
function checkTaskSet({ taskSet, classCount }: JointLossOptions, logits: number): void {
  const bad = taskSet.some((id, i) => !Number.isInteger(id) || id < 0 || id >= classCount || taskSet.indexOf(id) !== i);
  if (bad || taskSet.length + 1 !== logits) {
    throw new SheafError(
      "config",
      `A joint loss over ${classCount} classes needs a task set of ${logits - 1} different ones for a branch of ${logits} logits, got ${taskSet.join(", ") || "none"}.`,
    );
  }
}

/**
 * Cross-entropy of softmax over classes c of frozen(c) + u(c), where u(c) is the branch's log p(c) for a class of its own and its log p(other)
 * for any other class. `logits` are [own classes and "other", batch]; `frozen` and `target` [classes, batch]; targets, their smoothing included, as in `softmaxCrossEntropy`.
 *
 * The branch's logits stand in for its log-probabilities: the two differ by one number for each sample, the same for all classes, which the joint
 * softmax does not see. So the loss is convex in the logits, and its gradient adds up the classes behind "other": for a sample of a foreign class it is
 * that of -log P(not own), whichever class it is.
 */
export function jointCrossEntropy(
  builder: GraphBuilder,
  dtype: FloatDType,
  logits: Value,
  frozen: Value,
  target: Value,
  smoothing: number,
  options: JointLossOptions,
): JointLoss {
  const b = builder;
  const [outputs = 0] = logits.shape;
  const { taskSet, classCount } = options;
  checkTaskSet(options, outputs);
  const rowOf = Int32Array.from({ length: classCount }, (_, id) => (taskSet.indexOf(id) < 0 ? taskSet.length : taskSet.indexOf(id)));
  const own = b.gather(logits, b.indices(rowOf, [classCount], "rowOfClass"), 0, "spread");
  const scores = b.add(own, frozen, "scores");
  const { loss, gradient } = softmaxCrossEntropy(b, dtype, scores, target, smoothing);
  const sums = Float64Array.from({ length: outputs * classCount }, (_, i) => Number(rowOf[i % classCount] === Math.floor(i / classCount)));
  return { loss, gradient: b.matMul(b.constant(floats(dtype, [outputs, classCount], sums), "classesOfRow"), gradient), scores };
}
