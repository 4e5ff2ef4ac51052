/** How everything that trains begins: the data, the target, and the configuration with what only these and the machine can settle. */
import { hasWebGpu, isWebGpuFaster } from "../runtime/session.node.ts";
import { SheafError } from "../util/errors.ts";
import type { RunConfig } from "./config.ts";
import { checkRunFolder } from "./directory.ts";
import { type LoadedData, loadData } from "./loadData.ts";
import type { RunEvent, RunOptions } from "./options.ts";
import { readSavedConfig } from "./savedConfig.ts";
import { fitOf, loadTarget, type Target, withRates } from "./target.ts";

/** What `openRun` found. */
export interface OpenedRun {
  readonly data: LoadedData;
  readonly target: Target;
  /** As given, with the data set's own name, the rates of a module's network, and what trains. */
  readonly config: RunConfig;
}

/**
 * What a run that is resumed was begun with: a GPU that is faster today and was not yesterday would make other numbers of it. Throws `corrupt` when the
 * directory's configuration is damaged.
 */
async function begunWith(out: string): Promise<{ readonly provider: unknown } | undefined> {
  const training = (await readSavedConfig(out))?.settings.training as { readonly provider?: unknown } | undefined;
  return training && { provider: training.provider };
}

/**
 * The configuration with `training.provider: auto` settled: as the run was begun, or a GPU where there is one that is faster.
 * Throws `unavailable` where WebGPU is asked for and missing.
 */
async function withProvider(config: RunConfig, { out, resume = false }: Pick<RunOptions, "out" | "resume">): Promise<RunConfig> {
  const { provider, ...training } = config.training;
  if (provider === undefined || provider === "cpu") return config;
  const begun = provider === "auto" && resume ? await begunWith(out) : undefined;
  const chosen = begun ? begun.provider === "webgpu" : provider === "webgpu" || (await isWebGpuFaster());
  if (!chosen) return { ...config, training };
  if (!(await hasWebGpu())) {
    throw new SheafError(
      "unavailable",
      `${begun ? `${out} was begun on a GPU` : 'training.provider is "webgpu"'}, but this machine has no GPU that WebGPU can use (on Linux it needs a Vulkan driver); ${
        begun ? "go on where it was begun, or begin anew in another --out." : "leave it out to train on the processor."
      }`,
    );
  }
  return { ...config, training: { ...training, provider: "webgpu" } };
}

/** Opens what a run works on and tells of the data. Throws what its parts throw, before anything is written. */
export async function openRun(
  options: Omit<RunOptions, "onEvent"> & { readonly onEvent?: (event: RunEvent & { type: "data" }) => void },
): Promise<OpenedRun> {
  const { config, out, resume = false, dataDir, dataProgress, signal, onEvent } = options;
  await checkRunFolder(out, resume);
  const data = await loadData(config, dataDir === undefined ? {} : { data: dataDir }, dataProgress, signal);
  const { train, test, evaluatedOn, note } = data;
  onEvent?.({
    type: "data",
    name: train.name,
    train: train.labels.length,
    test: test.labels.length,
    evaluatedOn,
    source: train.provenance.source,
    note,
  });
  const named: RunConfig = { ...config, data: { ...config.data, name: data.configName } };
  const target = await loadTarget(named, fitOf(train));
  return { data, target, config: await withProvider(withRates(named, target), options) };
}
