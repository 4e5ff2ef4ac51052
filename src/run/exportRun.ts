/** Takes models out of a finished run: any head, a control, or one device's own sub-model. */
import { join } from "node:path";
import { compileInference } from "../compile/deploy.ts";
import { assembleGlobal } from "../harvest/globalModel.ts";
import type { HeadType } from "../harvest/heads.ts";
import { makeHead } from "../harvest/makeHead.ts";
import { addStatistics, type DeviceStatistics } from "../harvest/statistics.ts";
import type { Network } from "../network/network.ts";
import { writeOnnx } from "../onnx/write.ts";
import { SheafError } from "../util/errors.ts";
import { readFileChecked } from "../util/files.node.ts";
import { encodeSafetensors } from "../util/safetensors.ts";
import type { Tensor } from "../util/tensor.ts";
import { parseConfig, type RunConfig } from "./config.ts";
import { readFinished, runFiles } from "./directory.ts";
import { passGate, readStatistics } from "./harvest.ts";
import { audioInputOf, type DataProgress, dataMetadata, type LoadedData, loadData } from "./loadData.ts";
import { sheafVersion } from "./machine.ts";
import { type PreparedRun, prepareRun } from "./prepare.ts";
import { fitOf, loadTarget } from "./target.ts";

/** What can be taken out: a head of the global model, a control, or a device's sub-model by its id. */
export type ExportPart = HeadType | "central" | "slim" | (string & {});

export interface Exported {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly classNames: readonly string[];
}

async function configOf(path: string): Promise<RunConfig> {
  const file = join(path, runFiles.config);
  const text = new TextDecoder().decode(await readFileChecked(file, "run's configuration"));
  let value: Readonly<Record<string, unknown>>;
  try {
    value = JSON.parse(text) as typeof value;
  } catch (cause) {
    throw new SheafError("corrupt", `${file} is not JSON; the run's configuration cannot be known without it.`, { cause });
  }
  if (value.kind === "train") {
    throw new SheafError("usage", `${path} holds a single training, which has no parts; its model is ${join(path, runFiles.model)}.`);
  }
  const { dataSha256: _, ...config } = value;
  return parseConfig(config, file);
}

async function parametersOf(path: string, id: string): Promise<ReadonlyMap<string, Tensor>> {
  const found = await readFinished(path, id);
  if (!found) throw new SheafError("data", `${path} has no finished job "${id}"; resume the run, or choose a part that has finished.`);
  return found.tensors;
}

async function globalOf(
  path: string,
  type: HeadType,
  prepared: PreparedRun,
  train: LoadedData["train"],
  metadata: Readonly<Record<string, string>>,
): Promise<Uint8Array<ArrayBuffer>> {
  const { classNames } = train;
  const parameters = new Map<string, ReadonlyMap<string, Tensor>>();
  let statistics: DeviceStatistics | undefined;
  for (const { subModel } of prepared.devices) {
    parameters.set(subModel.device, await parametersOf(path, subModel.device));
    if (type === "H0") continue;
    const sums = await readStatistics(path, subModel.device);
    if (!sums) throw new SheafError("data", `${path} has no statistics of ${subModel.device} yet; resume the run, or export H0.`);
    statistics = statistics ? addStatistics(statistics, sums) : sums;
  }
  const { harvested } = passGate(prepared, (id) => parameters.get(id) ?? new Map(), train.labels, classNames.length);
  const head = makeHead(type, { harvested, classCount: classNames.length, ...(statistics ? { statistics } : {}) });
  return writeOnnx(assembleGlobal(harvested, head, { classNames, version: sheafVersion, metadata, ...audioInputOf(train) }), {
    batchAxis: "N",
    producerVersion: sheafVersion,
  });
}

/**
 * Takes one part out of the run directory `path`, as ONNX or (sub-models and controls) as safetensors weights.
 * Throws `usage` for a part that the run does not have, `data` for one that has not finished.
 */
export async function exportPart(
  path: string,
  part: ExportPart,
  format: "onnx" | "safetensors",
  dataDir: string | undefined,
  progress?: DataProgress,
): Promise<Exported> {
  const config = await configOf(path);
  const data = await loadData(config, dataDir === undefined ? {} : { data: dataDir }, progress);
  const { train } = data;
  const target = await loadTarget(config, fitOf(train));
  const prepared = prepareRun(config, target.network, train, target.parameters !== undefined);
  const metadata = { ...dataMetadata(config, data), seed: String(config.seed) };
  if (isHead(part)) {
    if (format !== "onnx")
      throw new SheafError("usage", `A global model is exported as onnx, not ${format}; export the devices' sub-models for their weights.`);
    return { bytes: await globalOf(path, part, prepared, train, metadata), classNames: train.classNames };
  }
  const job = prepared.jobs.find((j) => j.id === part);
  if (!job) {
    const known = ["H0", "H1", "H2", ...prepared.jobs.map((j) => j.id)];
    throw new SheafError("usage", `${path} has no part "${part}"; it has ${known.join(", ")}.`);
  }
  const parameters = await parametersOf(path, job.id);
  const device = prepared.devices.find((d) => d.planned.id === part);
  const classNames = device ? [...device.subModel.taskSet.map((c) => train.classNames[c] ?? String(c)), "other"] : train.classNames;
  const network: Network = job.network;
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

function isHead(part: string): part is HeadType {
  return part === "H0" || part === "H1" || part === "H2";
}
