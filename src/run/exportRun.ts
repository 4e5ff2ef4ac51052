/** Takes models out of a finished run: any head, a control, or one device's own sub-model. */
import { join } from "node:path";
import { compileInference } from "../compile/deploy.ts";
import type { SubModel } from "../decouple/subModel.ts";
import { inspectHarvest } from "../harvest/gate.ts";
import { assembleGlobal } from "../harvest/globalModel.ts";
import { type Harvested, layOut } from "../harvest/harvested.ts";
import { type HeadType, headBases, headTypes } from "../harvest/heads.ts";
import { type HeadSource, makeHead } from "../harvest/makeHead.ts";
import type { Network } from "../network/network.ts";
import { writeOnnx } from "../onnx/write.ts";
import { SheafError } from "../util/errors.ts";
import { encodeSafetensors } from "../util/safetensors.ts";
import type { Tensor } from "../util/tensor.ts";
import { parseConfig, type RunConfig } from "./config.ts";
import { readFinished, runFiles } from "./directory.ts";
import { passGate, readStatistics } from "./harvest.ts";
import { headPlan } from "./headPlan.ts";
import { audioInputOf, type DataProgress, dataMetadata, type LoadedData, loadData } from "./loadData.ts";
import { sheafVersion } from "./machine.ts";
import { type PreparedRun, prepareRun } from "./prepare.ts";
import { readSavedConfig } from "./savedConfig.ts";
import { settledJobId } from "./settlePlan.ts";
import { sourceWithout } from "./sums.ts";
import { fitOf, loadTarget } from "./target.ts";

/** What can be taken out: a head of the global model, a control, or a device's sub-model by its id. */
export type ExportPart = HeadType | "central" | "slim" | (string & {});

export interface Exported {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly classNames: readonly string[];
}

async function configOf(path: string): Promise<RunConfig> {
  const saved = await readSavedConfig(path);
  if (!saved) throw new SheafError("data", `${join(path, runFiles.config)}: no such file; give a folder that sheaf run has written.`);
  if (saved.kind !== "run") {
    const what = saved.kind === "train" ? "a single training" : `a ${saved.kind}`;
    throw new SheafError("usage", `${path} holds ${what}, which has no parts; its model is ${join(path, runFiles.model)}.`);
  }
  return parseConfig(saved.settings, saved.file);
}

async function parametersOf(path: string, id: string): Promise<ReadonlyMap<string, Tensor>> {
  const found = await readFinished(path, id);
  if (!found) throw new SheafError("data", `${path} has no finished job "${id}"; resume the run, or choose a part that has finished.`);
  return found.tensors;
}

/**
 * The branches that the others' sums are of. Of a lost device nothing may be left but its columns in them: whether they are there, their number says.
 */
async function summedBranches(
  path: string,
  prepared: PreparedRun,
  known: readonly Harvested[],
  lost: readonly string[],
  parameters: ReadonlyMap<string, unknown>,
): Promise<readonly Harvested[]> {
  if (lost.every((id) => parameters.has(id))) return known;
  const first = known.find(({ subModel }) => !lost.includes(subModel.device));
  const sums = first && (await readStatistics(path, first.subModel.device));
  const whole = prepared.devices.flatMap(({ subModel }): Harvested[] => {
    const found = known.find((h) => h.subModel.device === subModel.device);
    if (found) return [found];
    const gone = lost.includes(subModel.device) && !parameters.has(subModel.device);
    return gone ? [{ subModel, parameters: new Map(), ownSamples: 0, backgroundSamples: 0, classCounts: [] }] : [];
  });
  return layOut(whole.map((h) => h.subModel)).features === sums?.features.width ? whole : known;
}

async function globalOf(
  path: string,
  type: HeadType,
  config: RunConfig,
  prepared: PreparedRun,
  train: LoadedData["train"],
  metadata: Readonly<Record<string, string>>,
  lost: readonly string[],
): Promise<Uint8Array<ArrayBuffer>> {
  const { classNames } = train;
  const ids = prepared.devices.map(({ subModel }) => subModel.device);
  const unknown = lost.find((id) => !ids.includes(id));
  if (unknown !== undefined) throw new SheafError("usage", `${path} has no device "${unknown}"; it has ${ids.join(", ")}.`);
  if (lost.length > 0 && headBases[type] === "featuresAndExpansion")
    throw new SheafError("usage", `${type} mixes the features of all devices and cannot do without some; export another head.`);
  const parameters = new Map<string, ReadonlyMap<string, Tensor>>();
  for (const device of ids) {
    // Of a device that is left out, only the place of its branch in the others' sums is needed.
    const found = lost.includes(device) ? (await readFinished(path, device))?.tensors : await parametersOf(path, device);
    if (found) parameters.set(device, found);
  }
  const gated = passGate(prepared, (id) => parameters.get(id) ?? new Map(), train.labels, classNames.length);
  const all: Harvested[] = [];
  for (const h of gated.harvested) {
    const settled = settledJobId(config, h.subModel.device);
    all.push(lost.includes(h.subModel.device) ? h : { ...h, parameters: await parametersOf(path, settled) });
  }
  const remaining = all.filter(({ subModel }) => !lost.includes(subModel.device));
  if (remaining.length === 0) throw new SheafError("usage", "All devices are left out; at least one must remain.");
  const source: HeadSource =
    type === "H0"
      ? { harvested: remaining, classCount: classNames.length }
      : await sourceWithout(path, config, ids, await summedBranches(path, prepared, all, lost, parameters), classNames.length, lost);
  const { harvested } = source;
  const head = makeHead(type, source);
  return writeOnnx(assembleGlobal(harvested, head, { classNames, version: sheafVersion, metadata, ...audioInputOf(train) }), {
    batchAxis: "N",
    producerVersion: sheafVersion,
  });
}

/**
 * Takes one part out of the run directory `path`, as ONNX or (sub-models and controls) as safetensors weights; a head also without some devices, their
 * branches left out and the head made from what the others sent.
 * Throws `usage` for a part that the run does not have, `data` for one that has not finished.
 */
export async function exportPart(
  path: string,
  part: ExportPart,
  format: "onnx" | "safetensors",
  dataDir: string | undefined,
  progress?: DataProgress,
  without: readonly string[] = [],
): Promise<Exported> {
  const config = await configOf(path);
  const data = await loadData(config, dataDir === undefined ? {} : { data: dataDir }, progress);
  const { train } = data;
  const target = await loadTarget(config, fitOf(train));
  const prepared = prepareRun(config, target.network, train, target.parameters !== undefined);
  const metadata = { ...dataMetadata(config, data.train), seed: String(config.seed) };
  if (isHead(part) && (headPlan(config).types.includes(part) || headBases[part] === "features")) {
    if (format !== "onnx")
      throw new SheafError("usage", `A global model is exported as onnx, not ${format}; export the devices' sub-models for their weights.`);
    const named = without.length === 0 ? metadata : { ...metadata, without: JSON.stringify(without) };
    return { bytes: await globalOf(path, part, config, prepared, train, named, without), classNames: train.classNames };
  }
  if (without.length > 0) throw new SheafError("usage", `"${part}" is not made of several devices; --without goes with a head.`);
  const job = prepared.jobs.find((j) => j.id === part);
  if (!job) {
    const known = [...headPlan(config).types, ...prepared.jobs.map((j) => j.id)];
    const remedy = isHead(part) ? `, whose sums it did not gather (run with --set 'heads.extra=["${part}"]')` : "";
    throw new SheafError("usage", `${path} has no part "${part}"${remedy}; it has ${known.join(", ")}.`);
  }
  const device = prepared.devices.find((d) => d.planned.id === part);
  const classNames = device ? [...device.subModel.taskSet.map((c) => train.classNames[c] ?? String(c)), "other"] : train.classNames;
  const network: Network = job.network;
  const trained = await parametersOf(path, job.id);
  // What did not pass the gate was never settled.
  const parameters = device && passes(device.subModel, trained) ? await parametersOf(path, settledJobId(config, job.id)) : trained;
  const bytes =
    format === "safetensors"
      ? encodeSafetensors(parameters, { network: JSON.stringify(network), classNames: JSON.stringify(classNames) })
      : writeOnnx(
          compileInference(network, parameters, { classNames, metadata: { ...metadata, part, sheafVersion }, ...audioInputOf(train) }),
          {
            batchAxis: "N",
            producerVersion: sheafVersion,
          },
        );
  return { bytes, classNames };
}

function passes(subModel: SubModel, parameters: ReadonlyMap<string, Tensor>): boolean {
  try {
    inspectHarvest(subModel, parameters);
    return true;
  } catch {
    return false;
  }
}

function isHead(part: string): part is HeadType {
  return headTypes.some((type) => type === part);
}
