/** The global model of a live run, from what its devices handed in. The same accepted results give the same bytes, whenever and however often it is made. */
import type { Assembled } from "../coordinator/liveService.ts";
import { harvestedSlots, type Run, statisticsTaskId } from "../coordinator/state.ts";
import type { ObjectStore } from "../coordinator/store.ts";
import { modelRole } from "../coordinator/views.ts";
import { expansionWeights } from "../harvest/expansion.ts";
import { assembleGlobal } from "../harvest/globalModel.ts";
import { type Harvested, layOut } from "../harvest/harvested.ts";
import type { HeadType } from "../harvest/heads.ts";
import { type HeadSource, makeHead } from "../harvest/makeHead.ts";
import { addStatistics, type DeviceStatistics, decodeStatistics } from "../harvest/statistics.ts";
import { writeOnnx } from "../onnx/write.ts";
import type { RunConfig } from "../run/config.ts";
import { headPlan } from "../run/headPlan.ts";
import { dataMetadata } from "../run/loadData.ts";
import { sheafVersion } from "../run/machine.ts";
import { SheafError } from "../util/errors.ts";
import { canonicalJson } from "../util/json.ts";
import { readBranches, readObject } from "./branches.ts";
import { evaluateHeads, evaluatePasses, type MakeModel } from "./evaluation.ts";
import type { KnownSamples, SamplesOf } from "./samples.ts";

/** Role of what was measured on validation samples (`FleetEvaluation`) among a run's outputs. */
export const evaluationRole = "evaluation";

/** All sums of a kind that were handed in, added in the order of the plan. */
async function sumsOf(run: Run, role: string, objects: ObjectStore): Promise<DeviceStatistics | undefined> {
  let total: DeviceStatistics | undefined;
  for (const slot of run.slotOrder) {
    const output = run.tasks.get(statisticsTaskId(slot))?.result?.outputs.find((candidate) => candidate.role === role);
    if (!output) continue;
    const sums = decodeStatistics(await readObject(objects, output), `The ${role} of ${slot}`);
    total = total ? addStatistics(total, sums) : sums;
  }
  return total;
}

/** Whether sums speak for every class that a branch answers for; heads that rest on them would never say the others. */
const coverAll = (sums: DeviceStatistics, harvested: readonly Harvested[]): boolean =>
  harvested.every(({ subModel }) => subModel.taskSet.every((classId) => (sums.counts[classId] ?? 0) > 0));

/** What the head is made from, and which: the configured one where the sums are complete, else H0, which needs none. */
async function sourceOf(
  run: Run,
  harvested: readonly Harvested[],
  objects: ObjectStore,
): Promise<{ readonly type: HeadType; readonly source: HeadSource }> {
  const config = run.definition.config as unknown as RunConfig;
  const classCount = run.definition.classNames.length;
  const free = { type: "H0", source: { harvested, classCount } } as const;
  // Sums are of all branches together.
  if (!run.definition.work.statistics || harvested.length < harvestedSlots(run).length) return free;
  const statistics = await sumsOf(run, "statistics", objects);
  if (!statistics || !coverAll(statistics, harvested)) return free;
  const heldOut = await sumsOf(run, "heldOut", objects);
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
  run: Run,
  made: { readonly type: HeadType; readonly source: HeadSource; readonly model: Uint8Array; readonly makeModel: MakeModel },
  objects: ObjectStore,
  { validation }: KnownSamples,
): Promise<Uint8Array | undefined> {
  if (!validation || validation.labels.length === 0) return undefined;
  const { type, source, model, makeModel } = made;
  const types = source.statistics ? headPlan(run.definition.config as unknown as RunConfig).types : [type];
  const models = types.map((each) => [each, each === type ? model : makeModel(source.harvested, makeHead(each, source))] as const);
  const heads = await evaluateHeads(type, new Map(models), validation);
  const whole = source.harvested.length === harvestedSlots(run).length;
  const settlePasses = run.pass > 0 && whole ? { settlePasses: await evaluatePasses(run, objects, makeModel, validation) } : {};
  return new TextEncoder().encode(`${canonicalJson({ ...heads, ...settlePasses })}\n`);
}

/** Makes a run's model, or with `slots` one of these branches, and stores it. Throws `corrupt` where no branch is there. */
export async function assembleRun(run: Run, objects: ObjectStore, samplesOf: SamplesOf, slots?: readonly string[]): Promise<Assembled> {
  const { classNames, seed, config } = run.definition;
  const harvested = await readBranches(run, objects, slots);
  if (harvested.length === 0) throw new SheafError("data", "No device has handed in a branch yet; wait for the first.");
  const samples = await samplesOf(config as unknown as RunConfig);
  const { type, source } = await sourceOf(run, harvested, objects);
  const facts = {
    classNames,
    version: sheafVersion,
    metadata: { ...dataMetadata(config as unknown as RunConfig, { configName: samples.name }), seed: String(seed) },
    ...(samples.audio ? { audio: samples.audio } : {}),
  };
  const makeModel: MakeModel = (branches, head) =>
    writeOnnx(assembleGlobal(branches, head, facts), { batchAxis: "N", producerVersion: sheafVersion });
  const model = makeModel(harvested, makeHead(type, source));
  const outputs = [{ role: modelRole, ...(await objects.put(model)) }];
  const evaluation = await evaluationOf(run, { type, source, model, makeModel }, objects, samples);
  if (evaluation) outputs.push({ role: evaluationRole, ...(await objects.put(evaluation)) });
  return { outputs: outputs.map(({ role, sha256, bytes }) => ({ role, sha256, bytes })), head: type };
}
