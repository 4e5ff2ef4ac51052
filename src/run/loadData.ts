/** The data set of a configuration: `auto` settled, looked up, downloaded when absent, cut to the asked size. */
import { type DatasetName, datasetCatalog } from "../data/catalog.ts";
import type { DatasetSplits } from "../data/dataset.ts";
import type { DownloadProgress } from "../data/download.node.ts";
import { findDataset } from "../data/find.node.ts";
import { loadDataset } from "../data/load.node.ts";
import type { RunConfig } from "./config.ts";

/** Told of the bytes of a data set's archive as they arrive. */
export type OnDownload = (name: string, progress: DownloadProgress) => void;

export interface LoadedData extends DatasetSplits {
  /** What a reader of figures measured on it must know. */
  readonly note: string | undefined;
}

/** `auto` is CIFAR-10 when its files are at hand, and glyphs otherwise. */
export async function settleDataName(name: string, dir: string | undefined): Promise<string> {
  if (name !== "auto") return name;
  return (await findDataset("cifar10", { dir })) ? "cifar10" : "glyphs";
}

function noteOf(name: string, splits: DatasetSplits): string | undefined {
  const info = datasetCatalog[name as DatasetName];
  const parts = (["train", "test"] as const).flatMap((part) => {
    const used = splits[part].labels.length;
    const full = info.fullCount[part];
    return used === full
      ? []
      : [`${used.toLocaleString("en")} of ${full.toLocaleString("en")} ${part === "train" ? "training" : "test"} samples`];
  });
  return "archive" in info && parts.length > 0 ? `a subset (${parts.join(", ")}); not comparable with figures for the full set` : undefined;
}

/**
 * Loads the configured data set.
 * Throws `config` on an unknown name, `data` on damaged files, `unavailable` when it must be downloaded and cannot be.
 */
export async function loadData(
  config: RunConfig,
  options: { readonly data?: string },
  onDownload: OnDownload = () => {},
  signal?: AbortSignal,
): Promise<LoadedData> {
  const name = await settleDataName(config.data.name, options.data);
  const splits = await loadDataset(name, {
    dir: options.data,
    // The set itself does not change with the seed of the run, so that runs with different seeds are tested on the same samples.
    seed: 0,
    trainCount: config.data.trainCount,
    testCount: config.data.testCount,
    signal,
    onProgress: (progress) => onDownload(name, progress),
  });
  return { ...splits, note: noteOf(name, splits) };
}
