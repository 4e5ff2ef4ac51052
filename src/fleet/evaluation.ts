/** How a live run's model does on the coordinator's validation samples: every head that could be made, and the branches after each settle pass. */
import { type Run, settleTaskId } from "../coordinator/state.ts";
import type { ObjectStore } from "../coordinator/store.ts";
import type { Dataset } from "../data/dataset.ts";
import { openSamples } from "../data/samples.node.ts";
import type { Harvested } from "../harvest/harvested.ts";
import type { Head, HeadType } from "../harvest/heads.ts";
import { makeHead } from "../harvest/makeHead.ts";
import type { FleetEvaluation, HeadEvaluation, PassEvaluation } from "../protocol/evaluation.ts";
import { openSession } from "../runtime/session.node.ts";
import { type Evaluation, evaluateModel } from "../train/evaluate.ts";
import { readBranches } from "./branches.ts";

/** Branches with a head as the bytes of a model. */
export type MakeModel = (harvested: readonly Harvested[], head: Head) => Uint8Array;

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

/** Evaluates the free head on the branches as they were after each settle pass; sums, which other heads need, exist of the last alone. */
export async function evaluatePasses(
  run: Run,
  objects: ObjectStore,
  makeModel: MakeModel,
  validation: Dataset,
): Promise<readonly PassEvaluation[]> {
  const classCount = run.definition.classNames.length;
  const passes: PassEvaluation[] = [];
  for (let pass = 0; pass <= run.pass; pass++) {
    const harvested = await readBranches(run, objects, undefined, pass + 1);
    const { accuracy } = await evaluate(makeModel(harvested, makeHead("H0", { harvested, classCount })), validation);
    const skipped = run.slotOrder.filter((slot) => pass > 0 && run.tasks.get(settleTaskId(slot, pass))?.status !== "done");
    passes.push({ pass, H0: accuracy, skipped });
  }
  return passes;
}
