/** The gate before a live fleet's model: shapes, finite values, norms, and where the coordinator has samples of its own, how well a branch knows its classes. */
import type { Verdict } from "../coordinator/commands.ts";
import type { Slot } from "../coordinator/events.ts";
import { branchesOf } from "../coordinator/spec.ts";
import type { Run, Task } from "../coordinator/state.ts";
import type { ObjectStore } from "../coordinator/store.ts";
import { openSamples } from "../data/samples.node.ts";
import { branchGraph } from "../harvest/globalModel.ts";
import { type Harvested, layOut } from "../harvest/harvested.ts";
import { decodeStatistics, widthsOf } from "../harvest/statistics.ts";
import { narrow } from "../network/narrow.ts";
import { writeOnnx } from "../onnx/write.ts";
import { ProtocolError } from "../protocol/errors.ts";
import type { ObjectReference } from "../protocol/messages.ts";
import { branchAccuracies } from "../run/branches.ts";
import type { RunConfig } from "../run/config.ts";
import { openSession } from "../runtime/session.node.ts";
import { SheafError } from "../util/errors.ts";
import { harvestOf, readObject } from "./branches.ts";
import type { KnownSamples, SamplesOf } from "./samples.ts";

const configOf = (run: Run): RunConfig => run.definition.config as unknown as RunConfig;

/** The outputs by role. Throws `corrupt` unless they are these and no others. */
function byRole(outputs: readonly ObjectReference[], roles: readonly string[]): readonly ObjectReference[] {
  const got = outputs.map(({ role }) => role);
  if (got.length !== roles.length || roles.some((role) => !got.includes(role)))
    throw new SheafError("corrupt", `The task's outputs should be ${roles.join(" and ")}, got ${got.join(", ") || "none"}.`);
  return roles.map((role) => outputs.find((output) => output.role === role) as ObjectReference);
}

/** Accuracies on the coordinator's validation samples; undefined where it has none. */
async function tryBranch(branch: Harvested, { validation }: KnownSamples): Promise<Readonly<Record<string, number>> | undefined> {
  if (!validation || validation.labels.length === 0) return undefined;
  const session = await openSession(writeOnnx(branchGraph([branch]), { batchAxis: "N" }), { name: "a branch at the gate" });
  using samples = openSamples(validation);
  try {
    const [accuracy] = await branchAccuracies(session, [branch], samples);
    return accuracy && { own: accuracy.own, other: accuracy.other };
  } finally {
    await session.dispose();
  }
}

async function judgeBranch(run: Run, slot: Slot, output: ObjectReference, objects: ObjectStore, samplesOf: SamplesOf): Promise<Verdict> {
  const { target, classNames } = run.definition;
  const { ownSamples, backgroundSamples, taskSet, widths } = slot;
  const network = narrow(target, widths, taskSet.length + 1);
  const counts = { ownSamples, backgroundSamples, classCounts: classNames.map(() => 0) };
  const branch = harvestOf(
    { device: slot.slot, taskSet, network, parameters: output.sha256, parameterBytes: output.bytes, ...counts },
    await readObject(objects, output),
  );
  const config = configOf(run);
  const evaluation = await tryBranch(branch, await samplesOf(config));
  const least = config.serve.minimumOwnAccuracy;
  if (evaluation && (evaluation.own ?? 0) < least) {
    const reason = `The branch of ${slot.slot} has an accuracy of ${evaluation.own?.toFixed(3)} on validation samples of its own classes, below serve.minimumOwnAccuracy (${least}).`;
    return { accepted: false, reason };
  }
  return { accepted: true, ...(evaluation ? { evaluation } : {}) };
}

async function judgeSums(run: Run, slot: Slot, outputs: readonly ObjectReference[], objects: ObjectStore): Promise<Verdict> {
  const { work, classNames, target, otherClass } = run.definition;
  const subModels = branchesOf(run).map(({ device, taskSet, network }) => ({
    device,
    taskSet,
    network,
    widths: 1,
    filters: {},
  }));
  const layout = layOut(subModels);
  const { scores, expansion } = work.statistics ?? { scores: false, expansion: 0 };
  const expected = { features: layout.features, logProbabilities: layout.logProbabilities, scores, expanded: expansion };
  for (const output of byRole(outputs, (work.heldOutShare ?? 0) > 0 ? ["statistics", "heldOut"] : ["statistics"])) {
    const sums = decodeStatistics(await readObject(objects, output), `The ${output.role} of ${slot.slot}`);
    const got = widthsOf(sums);
    const wrong = (Object.keys(expected) as (keyof typeof expected)[]).find((key) => got[key] !== expected[key]);
    if (wrong !== undefined || sums.classCount !== classNames.length) {
      const reason =
        wrong === undefined
          ? `${sums.classCount} classes, not ${classNames.length}`
          : `${wrong} ${String(got[wrong])}, not ${String(expected[wrong])}`;
      throw new SheafError("corrupt", `The ${output.role} of ${slot.slot} are not of ${target.name}'s branches: they have ${reason}.`);
    }
    const foreign = sums.counts.findIndex((count, classId) => count > 0 && !slot.taskSet.includes(classId) && classId !== otherClass);
    if (foreign >= 0)
      throw new SheafError("corrupt", `The ${output.role} of ${slot.slot} count samples of ${classNames[foreign]}, which it does not own.`);
    if (sums.counts.some((count) => !Number.isInteger(count)))
      throw new SheafError("corrupt", `The ${output.role} of ${slot.slot} count parts of samples; counts must be whole.`);
  }
  return { accepted: true };
}

/**
 * Judges a result. What is wrong with it is a refusal; throws only what is wrong here, such as a disk that cannot be read, and `notFound` where an object is not
 * there: it may have been removed as long as nothing spoke of it, while its device slept or the clock was set, and has only to be uploaded again.
 */
export async function judge(
  run: Run,
  task: Task,
  outputs: readonly ObjectReference[],
  objects: ObjectStore,
  samplesOf: SamplesOf,
): Promise<Verdict> {
  const slot = run.slots.get(task.slot);
  if (!slot) return { accepted: false, reason: `There is no place "${task.slot}" in the plan.` };
  for (const { role, sha256 } of outputs) {
    if (await objects.find(sha256)) continue;
    throw new ProtocolError("notFound", `Object ${sha256.slice(0, 12)}, the ${role} of ${task.taskId}, is not here; upload it again.`);
  }
  try {
    if (task.kind === "statistics") return await judgeSums(run, slot, outputs, objects);
    const [output] = byRole(outputs, ["parameters"]);
    return await judgeBranch(run, slot, output as ObjectReference, objects, samplesOf);
  } catch (error) {
    if (error instanceof SheafError && error.code === "corrupt") return { accepted: false, reason: error.message };
    throw error;
  }
}
