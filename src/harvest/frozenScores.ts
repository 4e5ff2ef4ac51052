/** What the other branches say of a device's samples, summed by class: the constant that a device settles against. */
import { fillBatchNchw } from "../data/augment.ts";
import { sampleSize } from "../data/dataset.ts";
import type { Samples } from "../data/samples.ts";
import { GraphBuilder } from "../onnx/builder.ts";
import type { Graph, Value } from "../onnx/graph.ts";
import type { Session } from "../runtime/session.ts";
import { SheafError } from "../util/errors.ts";
import { floats } from "../util/tensor.ts";
import { imageInput, writeBranches } from "./globalModel.ts";
import type { Harvested } from "./harvested.ts";
import { freeHead, unownedBias } from "./logProbabilityHeads.ts";

/** H0's bias: what classes that no branch owns are given, the same whoever looks. */
const biasOf = (harvested: readonly Harvested[], classCount: number): Float64Array => unownedBias(harvested, classCount, false);

/**
 * All branches but that of `device`, under H0: input `image` [N, channels, height, width], float32 raw values, output `scores` [N, classes], the sum
 * over these branches of log p(class) or log p(other), and H0's bias. With the device's own log-probabilities added, they are the logits of H0.
 * Undefined when there is no other branch. Throws `config` when the branches do not go together. Write it with a batch axis.
 */
export function frozenGraph(harvested: readonly Harvested[], device: string, classCount: number): Graph | undefined {
  const others = harvested.filter(({ subModel }) => subModel.device !== device);
  if (others.length === 0) return undefined;
  const head = freeHead(
    others.map(({ subModel }) => subModel),
    classCount,
    biasOf(harvested, classCount),
  );
  const b = new GraphBuilder();
  const { logProbabilities } = writeBranches(b, others, imageInput(b, others), true);
  const inputs = [logProbabilities as Value, b.parameter("weight", head.weight), b.parameter("bias", head.bias)];
  b.output("scores", b.op("Gemm", inputs, { transB: 1 }));
  return b.build("sheaf-frozen");
}

/** The frozen scores [samples, classes] of a device that is alone. */
export function scoresAlone(harvested: readonly Harvested[], classCount: number, samples: number): Float32Array {
  const bias = biasOf(harvested, classCount);
  return Float32Array.from({ length: samples * classCount }, (_, i) => bias[i % classCount] as number);
}

export interface FrozenScoresOptions {
  /** Samples per run; 128 by default. The last batch is smaller. */
  readonly batchSize?: number;
  readonly signal?: AbortSignal;
}

/**
 * Runs the other branches once over the samples of `source` at `indices`, unaugmented; `session` is open on their frozen graph. Returns scores
 * [samples, classes] in the order of `indices`. Throws `diverged` when a branch gives a value that is not finite, `interrupted` after the signal.
 */
export async function computeFrozenScores(
  session: Session,
  classCount: number,
  source: Samples,
  indices: ArrayLike<number>,
  { batchSize = 128, signal }: FrozenScoresOptions = {},
): Promise<Float32Array> {
  const { shape } = source.dataset;
  const size = sampleSize(shape);
  const buffer = new Float32Array(batchSize * size);
  const result = new Float32Array(indices.length * classCount);
  for (let start = 0; start < indices.length; start += batchSize) {
    if (signal?.aborted)
      throw new SheafError("interrupted", `Freezing the other branches' scores stopped after ${start} samples; run again.`);
    const batch = Array.from({ length: Math.min(batchSize, indices.length - start) }, (_, row) => indices[start + row] as number);
    const values = buffer.subarray(0, batch.length * size);
    fillBatchNchw(values, source, batch);
    const { scores } = await session.run({ image: floats("float32", [batch.length, shape.channels, shape.height, shape.width], values) });
    result.set(scores?.data as Float32Array, start * classCount);
  }
  if (!result.every(Number.isFinite)) {
    throw new SheafError(
      "diverged",
      "The other branches' scores are not finite; a branch is broken: inspect the harvests and leave it out.",
    );
  }
  return result;
}
