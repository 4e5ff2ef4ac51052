/** Evaluates a run's heads: each as the model that it would be. */
import type { Samples } from "../data/samples.ts";
import { assembleGlobal } from "../harvest/globalModel.ts";
import type { Harvested } from "../harvest/harvested.ts";
import type { Head, HeadType } from "../harvest/heads.ts";
import { makeTunedHead } from "../harvest/makeHead.ts";
import { writeOnnx } from "../onnx/write.ts";
import { openSession } from "../runtime/session.node.ts";
import { type Evaluation, evaluateModel } from "../train/evaluate.ts";
import type { RunConfig } from "./config.ts";
import type { RunDirectory } from "./directory.ts";
import { headPlan } from "./headPlan.ts";
import { audioInputOf, dataMetadata, type LoadedData } from "./loadData.ts";
import { sheafVersion } from "./machine.ts";
import type { RunOptions } from "./options.ts";
import type { HeadSums } from "./sums.ts";
import { throwIfInterrupted } from "./trainJobs.ts";

/** A head with its model and how well that does. */
export interface EvaluatedHead {
  readonly type: HeadType;
  readonly head: Head;
  /** Ridge or shrinkage that it was made with; none for H0 and H1. */
  readonly ridge?: number;
  readonly model: Uint8Array<ArrayBuffer>;
  readonly evaluation: Evaluation;
}

/** Runs a model over the test samples, and tells. */
export async function evaluate(
  model: Uint8Array,
  id: string,
  test: Samples,
  directory: RunDirectory,
  options: RunOptions,
): Promise<Evaluation> {
  throwIfInterrupted(options.signal, directory.path);
  const session = await openSession(model, { name: id });
  try {
    const evaluation = await evaluateModel(session, test);
    await directory.log({ type: "evaluated", id, accuracy: evaluation.accuracy });
    options.onEvent?.({ type: "evaluated", id, accuracy: evaluation.accuracy });
    return evaluation;
  } finally {
    await session.dispose();
  }
}

/** Every head that the configuration asks for as a model, evaluated; the configured one is what `model.onnx` will be. */
export async function evaluateHeads(
  config: RunConfig,
  harvested: readonly Harvested[],
  sums: HeadSums,
  data: LoadedData,
  test: Samples,
  directory: RunDirectory,
  options: RunOptions,
): Promise<readonly EvaluatedHead[]> {
  const { classNames } = data.train;
  const heads: EvaluatedHead[] = [];
  for (const type of headPlan(config).types) {
    const made = makeTunedHead(type, { harvested, ...sums });
    const graph = assembleGlobal(harvested, made.head, {
      classNames,
      version: sheafVersion,
      metadata: { ...dataMetadata(config, data.train), seed: String(config.seed) },
      ...audioInputOf(data.train),
    });
    const model = writeOnnx(graph, { batchAxis: "N", producerVersion: sheafVersion });
    heads.push({ type, ...made, model, evaluation: await evaluate(model, type, test, directory, options) });
  }
  return heads;
}
