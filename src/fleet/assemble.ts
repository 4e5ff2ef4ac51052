/** The global model of a live run, from what its devices handed in. The same accepted results give the same bytes, whenever and however often it is made. */
import type { RunDefinition } from "../coordinator/events.ts";
import type { Assembled } from "../coordinator/liveService.ts";
import { branchesOf } from "../coordinator/spec.ts";
import { type Run, settleTaskId, statisticsTaskId } from "../coordinator/state.ts";
import type { ObjectReader, ObjectStore } from "../coordinator/store.ts";
import { modelRole } from "../coordinator/views.ts";
import { expansionWeights } from "../harvest/expansion.ts";
import { assembleGlobal } from "../harvest/globalModel.ts";
import { type Harvested, layOut } from "../harvest/harvested.ts";
import type { HeadType } from "../harvest/heads.ts";
import { type HeadSource, makeHead } from "../harvest/makeHead.ts";
import { addStatistics, type DeviceStatistics, decodeStatistics } from "../harvest/statistics.ts";
import { writeOnnx } from "../onnx/write.ts";
import type { ObjectReference } from "../protocol/messages.ts";
import type { Branch } from "../protocol/tasks.ts";
import type { RunConfig } from "../run/config.ts";
import { headPlan } from "../run/headPlan.ts";
import { dataMetadata } from "../run/loadData.ts";
import { sheafVersion } from "../run/machine.ts";
import { SheafError } from "../util/errors.ts";
import { canonicalJson } from "../util/json.ts";
import { readBranches, readObject } from "./branches.ts";
import { evaluateHeads, evaluatePasses, type PassBranches, type WriteModel } from "./evaluation.ts";
import { store } from "./objects.ts";
import type { KnownSamples, SamplesOf } from "./samples.ts";

/** Role of what was measured on validation samples (`FleetEvaluation`) among a run's outputs. */
export const evaluationRole = "evaluation";

/** What a model is put together from, as plain data that another thread can be given. */
export interface Assembly {
  readonly definition: Pick<RunDefinition, "classNames" | "seed" | "config">;
  /** In the order of the plan. */
  readonly branches: readonly Branch[];
  /** Sums over all of the branches, in the order of the plan; none where the run wants none or these are not all branches. */
  readonly sums: readonly { readonly slot: string; readonly outputs: readonly ObjectReference[] }[];
  /** The branches after each settle pass, from none on; empty where there are no passes or these are not all branches. */
  readonly passes: readonly PassBranches[];
}

/** A model that is not stored yet. */
export interface MadeModel {
  readonly model: Uint8Array;
  /** Its accuracy on validation samples, where there are any. */
  readonly evaluation?: Uint8Array;
  readonly head: string;
}

/** Puts a model together. The same assembly gives the same bytes. */
export type MakeModel = (assembly: Assembly) => Promise<MadeModel>;

function passesOf(run: Run): readonly PassBranches[] {
  return Array.from({ length: run.pass + 1 }, (_, pass) => ({
    pass,
    branches: branchesOf(run, pass + 1),
    skipped: [...run.slotOrder].filter((slot) => pass > 0 && run.tasks.get(settleTaskId(slot, pass))?.status !== "done"),
  }));
}

/** What a run's model is put together from, or with `slots` that of these branches. Throws `data` where no branch is there. */
export function assemblyOf(run: Run, slots?: readonly string[]): Assembly {
  const { classNames, seed, config, work } = run.definition;
  const all = branchesOf(run);
  const branches = slots ? all.filter(({ device }) => slots.includes(device)) : all;
  if (branches.length === 0) throw new SheafError("data", "No device has handed in a branch yet; wait for the first.");
  // Sums are of all branches together.
  const isSummed = work.statistics !== undefined && branches.length === all.length;
  const sums = [...run.slotOrder].flatMap((slot) => {
    const outputs = run.tasks.get(statisticsTaskId(slot))?.result?.outputs;
    return outputs ? [{ slot, outputs }] : [];
  });
  const passes = run.pass > 0 && branches.length === all.length ? passesOf(run) : [];
  return { definition: { classNames, seed, config }, branches, sums: isSummed ? sums : [], passes };
}

/** All sums of a kind, added in the order of the plan. */
async function sumsOf(sums: Assembly["sums"], role: string, objects: ObjectReader): Promise<DeviceStatistics | undefined> {
  let total: DeviceStatistics | undefined;
  for (const { slot, outputs } of sums) {
    const output = outputs.find((candidate) => candidate.role === role);
    if (!output) continue;
    const part = decodeStatistics(await readObject(objects, output), `The ${role} of ${slot}`);
    total = total ? addStatistics(total, part) : part;
  }
  return total;
}

/** Whether sums speak for every class that a branch answers for; heads that rest on them would never say the others. */
const coverAll = (sums: DeviceStatistics, harvested: readonly Harvested[]): boolean =>
  harvested.every(({ subModel }) => subModel.taskSet.every((classId) => (sums.counts[classId] ?? 0) > 0));

/** What the head is made from, and which: the configured one where the sums are complete, else H0, which needs none. */
async function sourceOf(
  { definition, sums }: Assembly,
  harvested: readonly Harvested[],
  objects: ObjectReader,
): Promise<{ readonly type: HeadType; readonly source: HeadSource }> {
  const config = definition.config as unknown as RunConfig;
  const classCount = definition.classNames.length;
  const free = { type: "H0", source: { harvested, classCount } } as const;
  const statistics = await sumsOf(sums, "statistics", objects);
  if (!statistics || !coverAll(statistics, harvested)) return free;
  const heldOut = await sumsOf(sums, "heldOut", objects);
  const { expanded } = headPlan(config);
  const { features } = layOut(harvested.map(({ subModel }) => subModel));
  return {
    type: config.head,
    source: {
      harvested,
      classCount,
      statistics,
      // Sums of no samples choose nothing.
      ...(heldOut?.counts.some((n) => n > 0) ? { heldOut } : {}),
      ...(expanded > 0 ? { expansion: expansionWeights(config.seed, expanded, features) } : {}),
      ...(config.heads.ridge === undefined ? {} : { ridge: config.heads.ridge }),
    },
  };
}

/** What is known of the model on validation samples, as JSON; undefined where the coordinator has none. */
async function evaluationOf(
  { definition, passes }: Assembly,
  made: { readonly type: HeadType; readonly source: HeadSource; readonly model: Uint8Array; readonly write: WriteModel },
  objects: ObjectReader,
  { validation }: KnownSamples,
): Promise<Uint8Array | undefined> {
  if (!validation || validation.labels.length === 0) return undefined;
  const { type, source, model, write } = made;
  const types = source.statistics ? headPlan(definition.config as unknown as RunConfig).types : [type];
  const models = types.map((each) => [each, each === type ? model : write(source.harvested, makeHead(each, source))] as const);
  const heads = await evaluateHeads(type, new Map(models), validation);
  const settlePasses = await evaluatePasses(passes, source.classCount, objects, write, validation);
  return new TextEncoder().encode(`${canonicalJson({ ...heads, ...(passes.length > 0 ? { settlePasses } : {}) })}\n`);
}

/** Puts a model together in this thread. Throws `corrupt` where a result is not as it was handed in. */
export async function makeModel(assembly: Assembly, objects: ObjectReader, samplesOf: SamplesOf): Promise<MadeModel> {
  const { classNames, seed } = assembly.definition;
  const config = assembly.definition.config as unknown as RunConfig;
  const harvested = await readBranches(assembly.branches, objects);
  const samples = await samplesOf(config);
  const { type, source } = await sourceOf(assembly, harvested, objects);
  const facts = {
    classNames,
    version: sheafVersion,
    metadata: { ...dataMetadata(config, samples), seed: String(seed) },
    ...(samples.audio ? { audio: samples.audio } : {}),
  };
  const write: WriteModel = (branches, head) =>
    writeOnnx(assembleGlobal(branches, head, facts), { batchAxis: "N", producerVersion: sheafVersion });
  const model = write(harvested, makeHead(type, source));
  const evaluation = await evaluationOf(assembly, { type, source, model, write }, objects, samples);
  return { model, ...(evaluation ? { evaluation } : {}), head: type };
}

/** Makes a run's model, or with `slots` one of these branches, by `make`, and stores it. Throws what that throws, and `data` where no branch is there. */
export async function assembleRun(run: Run, objects: ObjectStore, make: MakeModel, slots?: readonly string[]): Promise<Assembled> {
  const { model, evaluation, head } = await make(assemblyOf(run, slots));
  const put = (bytes: Uint8Array): ReturnType<ObjectStore["put"]> => objects.put(bytes);
  const outputs = [await store(modelRole, model, put)];
  if (evaluation) outputs.push(await store(evaluationRole, evaluation, put));
  return { outputs, head };
}
