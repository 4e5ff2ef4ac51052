/** `sheaf data add` and `sheaf data remove`: data sets of the catalog fetched, data of one's own checked, prepared and given a name. */
import { existsSync } from "node:fs";
import { extname, resolve } from "node:path";
import type { DatasetSplits } from "../../data/dataset.ts";
import type { Preparation } from "../../data/load.node.ts";
import type { PreparedSplits } from "../../data/prepare.node.ts";
import type { RunConfig } from "../../run/config.ts";
import { SheafError } from "../../util/errors.ts";
import type { CommandSpec, Invocation } from "../command.ts";

const number = (value: number): string => value.toLocaleString("en");

/** What preparing leaves beside the samples; a catalog set or a module has none of it. */
type Told = Partial<Pick<PreparedSplits, "skipped" | "notes" | "path">>;

/** Settings that differ from the defaults, so that what is remembered is what was asked for. */
function given(preparation: Preparation, defaults: Preparation): Partial<Preparation> {
  const entries = Object.entries(preparation).filter(
    ([key, value]) => value !== undefined && JSON.stringify(value) !== JSON.stringify(defaults[key as keyof Preparation]),
  );
  return Object.fromEntries(entries);
}

interface Added {
  readonly splits: DatasetSplits;
  /** Where the data lie. */
  readonly path: string;
  readonly preparation: Partial<Preparation>;
}

/** Fetches a set of the catalog, unless it is at hand. */
async function addFromCatalog(name: string, settings: RunConfig, { options, terminal, signal }: Invocation): Promise<Added> {
  const { datasetNames } = await import("../../data/catalog.ts");
  if (!datasetNames.some((known) => known === name)) {
    throw new SheafError(
      "usage",
      `There is no data set named "${name}" to fetch; give its path as well (sheaf data add ${name} PATH), or choose one of ${datasetNames.join(", ")}.`,
    );
  }
  const { findDataset } = await import("../../data/find.node.ts");
  const { loadData } = await import("../../run/loadData.ts");
  const { openProgress } = await import("../progress.ts");
  const splits = await loadData({ ...settings, data: { ...settings.data, name } }, options, openProgress(terminal).data, signal);
  const found = await findDataset(name, { dir: options.data });
  return { splits, path: found && "folder" in found ? found.folder : "made in code", preparation: {} };
}

/** Checks and prepares data of the user's own and remembers them under the name. */
async function addOwn(name: string, source: string, settings: RunConfig, { terminal, signal }: Invocation): Promise<Added> {
  const { checkOwnName, register } = await import("../../data/registry.node.ts");
  checkOwnName(name);
  const path = resolve(source);
  if (!existsSync(path)) throw new SheafError("data", `There is no file or folder ${path}; check the path.`);
  if ([".ts", ".mjs", ".js"].includes(extname(path))) {
    const { loadDatasetModule } = await import("../../data/modules.node.ts");
    const splits = await loadDatasetModule(path, { signal });
    await register(name, { path, preparation: {} });
    return { splits, path, preparation: {} };
  }
  const { defaultPreparation, loadOwnData } = await import("../../data/load.node.ts");
  const { preparationOf } = await import("../../run/loadData.ts");
  const { openProgress } = await import("../progress.ts");
  const preparation = preparationOf(settings);
  const remembered = given(preparation, defaultPreparation);
  const { prepare } = openProgress(terminal).data;
  const splits: DatasetSplits & Told = await loadOwnData(name, path, {
    preparation,
    seed: 0,
    signal,
    onPrepare: (progress) => prepare?.(name, progress),
  });
  await register(name, { path, preparation: remembered, ...(splits.path === undefined ? {} : { records: splits.path }) });
  return { splits, path, preparation: remembered };
}

export const dataAdd: CommandSpec = {
  examples: [
    ["data add cifar100", "downloaded into the cache, unless it is at hand"],
    ["data add pets ./photos --set data.imageSize.height=64 --set data.imageSize.width=64", "then: sheaf run --data-set pets"],
  ],
  async run(invocation) {
    const {
      arguments: [name = "", source],
      terminal,
      config,
    } = invocation;
    const settings = await config();
    const { splits, path, preparation } = await (source === undefined
      ? addFromCatalog(name, settings, invocation)
      : addOwn(name, source, settings, invocation));
    const { skipped = [], notes = [] } = splits as DatasetSplits & Told;
    const { train, test, validation } = splits;
    terminal.printJson({
      name,
      path,
      preparation,
      classes: train.classNames.length,
      train: train.labels.length,
      ...(validation ? { validation: validation.labels.length } : {}),
      test: test.labels.length,
      shape: [train.shape.channels, train.shape.height, train.shape.width],
      notes,
      skipped: { count: skipped.length, first: skipped.slice(0, 5) },
    });
    const parts = [`${number(train.labels.length)} training`, ...(validation ? [`${number(validation.labels.length)} validation`] : [])];
    terminal.print(
      `${name}: ${train.classNames.length} classes, ${parts.join(", ")} and ${number(test.labels.length)} test samples, from ${path}`,
    );
    for (const note of notes) terminal.print(note);
    for (const { where, reason } of skipped.slice(0, 5)) terminal.print(`left out: ${where}: ${reason}`);
    if (skipped.length > 5) terminal.print(`left out: ${number(skipped.length - 5)} more`);
    terminal.print(`Use it with --data-set ${name}; sheaf data inspect ${name} shows it.`);
  },
};

export const dataRemove: CommandSpec = {
  examples: [["data remove pets", "your own files stay as they are"]],
  async run({ arguments: [name = ""], terminal }) {
    const { deletePrepared, unregister } = await import("../../data/registry.node.ts");
    const entry = await unregister(name);
    const deleted = await deletePrepared(entry);
    terminal.printJson({ name, path: entry.path, deleted });
    terminal.print(`${name} is forgotten; ${deleted.length > 0 ? "its prepared samples are deleted; " : ""}${entry.path} was not touched.`);
  },
};
