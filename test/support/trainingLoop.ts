/** Runs a training program step after step, feeding each state's next value back. */
import { initialState, type TrainingProgram } from "../../src/compile/training.ts";
import { type FloatDType, floats, type Tensor } from "../../src/util/tensor.ts";
import { openGraph, type Tensors } from "./session.ts";

export interface LoopResult {
  readonly losses: readonly number[];
  readonly state: Map<string, Tensor>;
  /** Outputs of the last step. */
  readonly outputs: ReadonlyMap<string, Tensor>;
}

/** The states that follow from a step's outputs. */
export function nextState(program: TrainingProgram, outputs: Tensors): Map<string, Tensor> {
  return new Map(program.outputs.flatMap((o) => (o.replaces === undefined ? [] : [[o.replaces, outputs.get(o.name) as Tensor] as const])));
}

/** `steps` steps from `state` (by default the first one of seed 1); `feedsOf` gives image, target and learning rate of each. */
export async function trainSteps(
  program: TrainingProgram,
  steps: number,
  feedsOf: (step: number) => Tensors,
  from: Tensors = initialState(program, 1),
): Promise<LoopResult> {
  const runner = await openGraph(program.graph);
  const losses: number[] = [];
  let state = new Map(from);
  let outputs: Tensors = new Map();
  try {
    for (let step = 0; step < steps; step++) {
      outputs = await runner.run(new Map([...state, ...feedsOf(step)]));
      losses.push(Number(outputs.get("loss")?.data[0]));
      state = nextState(program, outputs);
    }
  } finally {
    await runner.close();
  }
  return { losses, state, outputs };
}

/** Values of a float tensor in another precision. */
export function toDType(value: Tensor, dtype: FloatDType): Tensor {
  return floats(dtype, value.shape, value.data as Float64Array);
}
