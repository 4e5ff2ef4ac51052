/** Data sets that a module of the user's own defines. */
import { createHash } from "node:crypto";
import { SheafError } from "../util/errors.ts";
import { importDefault } from "../util/modules.node.ts";
import type { DatasetSplits, SampleValues } from "./dataset.ts";
import { checkDefinition, type DefinedOptions, splitsOf } from "./define.ts";

function contentHash(labels: Uint16Array, values: SampleValues): string {
  const bytes = new Uint8Array(labels.length * 2);
  const view = new DataView(bytes.buffer);
  labels.forEach((label, i) => void view.setUint16(2 * i, label, true));
  return createHash("sha256")
    .update(bytes)
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest("hex");
}

/** What `load` is told; the seed is 0 unless given. */
export type ModuleOptions = { readonly [K in keyof DefinedOptions]?: DefinedOptions[K] | undefined };

/**
 * Loads the data set that a module (.ts, .mjs, .js) exports with `export default defineDataset({...})`, and checks it.
 * Throws `data`, naming the file, when it cannot be run or what it gives is no data set; `interrupted` when the signal is aborted.
 * @example const { train, test } = await loadDatasetModule("stripes.ts");
 */
export async function loadDatasetModule(path: string, options: ModuleOptions = {}): Promise<DatasetSplits> {
  const definition = checkDefinition(await importDefault(path, "data set", "data"), path);
  const { seed = 0, trainCount, testCount, signal } = options;
  let loaded: unknown;
  try {
    loaded = await definition.load({ seed, trainCount, testCount, signal });
  } catch (cause) {
    if (cause instanceof SheafError) throw cause;
    if (signal?.aborted) throw new SheafError("interrupted", `Loading ${path} was interrupted; run again.`, { cause });
    throw new SheafError(
      "data",
      `${path}: load failed: ${cause instanceof Error ? cause.message.replace(/\.$/, "") : cause}; correct the file and run again.`,
      { cause },
    );
  }
  return splitsOf(definition, loaded, path, contentHash);
}
