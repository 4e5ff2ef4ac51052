/** How good each branch is at its own task, before anything is glued. */
import { fillBatchNchw } from "../data/augment.ts";
import { sampleSize } from "../data/dataset.ts";
import type { Samples } from "../data/samples.ts";
import { localLabel } from "../decouple/subModel.ts";
import { type Harvested, layOut } from "../harvest/harvested.ts";
import type { Session } from "../runtime/session.ts";
import { floats, type Tensor } from "../util/tensor.ts";

/** Accuracy of one branch on test samples, answering with a class of its own or "other". */
export interface BranchAccuracy {
  readonly device: string;
  /** Over the samples of its own classes. */
  readonly own: number;
  /** Over the samples of all other classes: how often it says "other". */
  readonly other: number;
}

/** Evaluates every branch on `test`; `session` is open on a branch graph of `harvested`. `onBatch` is given all outputs of a batch with its true classes. */
export async function branchAccuracies(
  session: Session,
  harvested: readonly Harvested[],
  samples: Samples,
  batchSize = 128,
  onBatch?: (outputs: Readonly<Record<string, Tensor>>, labels: readonly number[]) => void,
): Promise<readonly BranchAccuracy[]> {
  const test = samples.dataset;
  const layout = layOut(harvested.map((h) => h.subModel));
  const tallies = layout.branches.map(() => ({ own: 0, ownRight: 0, other: 0, otherRight: 0 }));
  const { channels, height, width } = test.shape;
  const count = test.labels.length;
  for (let start = 0; start < count; start += batchSize) {
    const indices = Uint32Array.from({ length: Math.min(batchSize, count - start) }, (_, i) => start + i);
    const pixels = new Float32Array(indices.length * sampleSize(test.shape));
    fillBatchNchw(pixels, samples, indices);
    const outputs = await session.run({ image: floats("float32", [indices.length, channels, height, width], pixels) });
    onBatch?.(
      outputs,
      Array.from(indices, (sample) => test.labels[sample] ?? 0),
    );
    const scores = outputs.logProbabilities?.data as Float32Array;
    indices.forEach((sample, row) => {
      layout.branches.forEach((branch, b) => {
        const [from, to] = branch.logProbabilities;
        let best = from;
        for (let column = from; column < to; column++) {
          if ((scores[row * layout.logProbabilities + column] as number) > (scores[row * layout.logProbabilities + best] as number))
            best = column;
        }
        const label = localLabel(branch.taskSet, test.labels[sample] ?? 0);
        const tally = tallies[b] as (typeof tallies)[number];
        const right = best - from === label ? 1 : 0;
        if (label < branch.taskSet.length) {
          tally.own++;
          tally.ownRight += right;
        } else {
          tally.other++;
          tally.otherRight += right;
        }
      });
    });
  }
  return layout.branches.map((branch, b) => {
    const { own, ownRight, other, otherRight } = tallies[b] as (typeof tallies)[number];
    return { device: branch.device, own: own > 0 ? ownRight / own : 0, other: other > 0 ? otherRight / other : 0 };
  });
}
