/** How a live run's model does on the coordinator's validation samples: every head that could be made, and the branches after each settle pass. */
import type { ObjectReader } from "../coordinator/store.ts";
import type { Dataset } from "../data/dataset.ts";
import { openSamples } from "../data/samples.node.ts";
import type { Harvested } from "../harvest/harvested.ts";
import type { Head, HeadType } from "../harvest/heads.ts";
import { makeHead } from "../harvest/makeHead.ts";
import type { FleetEvaluation, HeadEvaluation, PassEvaluation } from "../protocol/evaluation.ts";
import type { Branch } from "../protocol/tasks.ts";
import { openSession } from "../runtime/session.node.ts";
import { type Evaluation, evaluateModel } from "../train/evaluate.ts";
import { readBranches } from "./branches.ts";

/** Branches with a head as the bytes of a model. */
export type WriteModel = (harvested: readonly Harvested[], head: Head) => Uint8Array;

async function evaluate(model: Uint8Array, validation: Dataset): Promise<Evaluation> {
  const session = await openSession(model, { name: "the global model" });
  using samples = openSamples(validation);
  try {
    return await evaluateModel(session, samples);
  } finally {
    await session.dispose();
  }
}

function headEvaluation(head: HeadType, { accuracy, perClass, confusion }: Evaluation): HeadEvaluation {
  const seen = confusion.map((row) => row.some((n) => n > 0));
  return { head, accuracy, perClass: perClass.map((value, classId) => (seen[classId] ? value : null)), confusion };
}

/** Evaluates models of the same branches with different heads; `head` is the one that the model answers with. */
export async function evaluateHeads(
  head: HeadType,
  heads: ReadonlyMap<HeadType, Uint8Array>,
  validation: Dataset,
): Promise<FleetEvaluation> {
  const evaluated: HeadEvaluation[] = [];
  for (const [type, model] of heads) evaluated.push(headEvaluation(type, await evaluate(model, validation)));
  const accuracy = evaluated.find((each) => each.head === head)?.accuracy ?? 0;
  return { accuracy, samples: validation.labels.length, head, heads: evaluated };
}

/** The branches as they were after a settle pass, or before the first, and the devices that skipped it. */
export interface PassBranches {
  readonly pass: number;
  readonly branches: readonly Branch[];
  readonly skipped: readonly string[];
}

/** Evaluates the free head on the branches of each pass; sums, which other heads need, exist of the last alone. */
export async function evaluatePasses(
  passes: readonly PassBranches[],
  classCount: number,
  objects: ObjectReader,
  write: WriteModel,
  validation: Dataset,
): Promise<readonly PassEvaluation[]> {
  const evaluated: PassEvaluation[] = [];
  for (const { pass, branches, skipped } of passes) {
    const harvested = await readBranches(branches, objects);
    const { accuracy } = await evaluate(write(harvested, makeHead("H0", { harvested, classCount })), validation);
    evaluated.push({ pass, H0: accuracy, skipped });
  }
  return evaluated;
}
