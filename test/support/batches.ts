/** Random batches for training programs. */
import type { TrainingProgram } from "../../src/compile/training.ts";
import { type Random, random } from "../../src/util/random.ts";
import { floats, sizeOf, type Tensor } from "../../src/util/tensor.ts";

const draw = (size: number, next: () => number): number[] => Array.from({ length: size }, next);

/** Columns that sum to 1: one class each when `hard`, else a random mixture. [classes, batch], row-major. */
function targets(classes: number, batch: number, hard: boolean, source: Random): number[] {
  const result = new Array<number>(classes * batch).fill(0);
  for (let n = 0; n < batch; n++) {
    const weights = draw(classes, source.uniform);
    const total = weights.reduce((sum, w) => sum + w, 0);
    const chosen = source.below(classes);
    for (let c = 0; c < classes; c++) result[c * batch + n] = hard ? Number(c === chosen) : (weights[c] as number) / total;
  }
  return result;
}

/** A batch of normally distributed images and scores of other branches, their targets and a learning rate, as feeds of `program`. */
export function randomBatch(program: TrainingProgram, seed: number, learningRate = 0, hard = true): Map<string, Tensor> {
  const source = random(seed, "batch");
  const result = new Map<string, Tensor>();
  for (const { name, role, shape } of program.inputs) {
    const [classes = 0, batch = 0] = shape;
    if (role === "image" || role === "frozen") result.set(name, floats(program.dtype, shape, draw(sizeOf(shape), source.normal)));
    if (role === "target") result.set(name, floats(program.dtype, shape, targets(classes, batch, hard, source)));
    if (role === "learningRate") result.set(name, floats(program.dtype, [], [learningRate]));
  }
  return result;
}
