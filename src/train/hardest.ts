/** Skipping the backward pass of easy samples: of each batch of candidates only those with the highest loss are trained on. */
import { compileEvaluation, type EvaluationProgram } from "../compile/evaluation.ts";
import type { Network } from "../network/network.ts";
import { writeOnnx } from "../onnx/write.ts";
import type { OpenSession, Session } from "../runtime/session.ts";
import { type Tensor, tensor, zeros } from "../util/tensor.ts";
import type { Batches } from "./batches.ts";
import { candidatesPerStep, type TrainingJob } from "./job.ts";

/** Cross-entropy of each column of `logits` [classes, batch] at its label, `offset` (by class) added to the logits. */
export function columnLosses(logits: ArrayLike<number>, labels: Uint16Array, offset?: readonly number[]): Float64Array {
  const batch = labels.length;
  const classes = logits.length / batch;
  const at = (c: number, n: number): number => (logits[c * batch + n] as number) + (offset?.[c] ?? 0);
  return Float64Array.from(labels, (label, n) => {
    let most = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < classes; c++) most = Math.max(most, at(c, n));
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += Math.exp(at(c, n) - most);
    return most + Math.log(sum) - at(label, n);
  });
}

/** Places of the `count` largest values, ascending; of equals the first. A value that is no number counts as the largest. */
export function largest(values: Float64Array, count: number): Uint32Array {
  const order = Uint32Array.from(values.keys());
  const rank = (i: number): number => (Number.isNaN(values[i]) ? Number.POSITIVE_INFINITY : (values[i] as number));
  order.sort((a, b) => (rank(b) > rank(a) ? 1 : rank(b) < rank(a) ? -1 : a - b));
  return order.slice(0, count).sort();
}

/** Copies columns of a [rows, from] matrix. */
function takeColumns(into: Float32Array, from: Float32Array, columns: Uint32Array, width: number): void {
  const rows = from.length / width;
  const count = columns.length;
  for (let row = 0; row < rows; row++) {
    for (let n = 0; n < count; n++) into[row * count + n] = from[row * width + (columns[n] as number)] as number;
  }
}

/** Batches of the hardest candidates. Its owner closes it. */
export interface HardestBatches {
  readonly batches: Batches;
  /** Runs the candidates of a step forward with the network as it stands and fills `batches` with the hardest. `values`: parameters and states by name. */
  choose(step: number, values: ReadonlyMap<string, Tensor>): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens them for a job with a `hardShare` and its network, or what that is for smaller images. The forward pass uses running statistics, as when the network is used, so that a sample's loss does not hang on
 * the other candidates. `offset` is what the job's loss adds to the logits.
 */
export async function openHardest(
  job: TrainingJob,
  network: Network,
  candidates: Batches,
  offset: readonly number[] | undefined,
  openSession: OpenSession,
): Promise<HardestBatches> {
  const { batchSize } = job.settings;
  const width = candidatesPerStep(job);
  const program: EvaluationProgram = compileEvaluation(network, { batchSize: width });
  const session: Session = await openSession(writeOnnx(program.graph), { name: `the forward pass of ${job.id}` });
  const [imagePort] = program.inputs;
  const feeds: Record<string, Tensor> = {};
  for (const { name, dtype, shape } of program.inputs) feeds[name] = zeros(dtype, shape);
  if (imagePort) feeds[imagePort.name] = tensor("float32", imagePort.shape, candidates.image);
  const logits = zeros("float32", program.outputs[0]?.shape ?? []);
  const into = { [program.outputs[0]?.name ?? ""]: logits };
  const batches: Batches = {
    image: new Float32Array((candidates.image.length / width) * batchSize),
    target: new Float32Array((candidates.target.length / width) * batchSize),
    frozen: undefined,
    labels: new Uint16Array(batchSize),
    fill: candidates.fill,
  };
  return {
    batches,
    async choose(step, values) {
      candidates.fill(step);
      for (const { name, role } of program.inputs) if (role !== "image") feeds[name] = values.get(name) as Tensor;
      await session.run(feeds, into);
      const chosen = largest(columnLosses(logits.data as Float32Array, candidates.labels, offset), batchSize);
      takeColumns(batches.image, candidates.image, chosen, width);
      takeColumns(batches.target, candidates.target, chosen, width);
      chosen.forEach((column, n) => {
        batches.labels[n] = candidates.labels[column] as number;
      });
    },
    close: () => session.dispose(),
  };
}
