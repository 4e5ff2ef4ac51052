/** What the coordinator knows of the samples that its devices hold: classes, shape and scale, and validation samples where it has some of its own. */
import type { Dataset } from "../data/dataset.ts";
import type { AudioInput } from "../features/features.ts";
import type { NetworkInput } from "../network/network.ts";
import type { RunConfig } from "../run/config.ts";
import { audioInputOf, loadData } from "../run/loadData.ts";
import { fitOf } from "../run/target.ts";
import { SheafError } from "../util/errors.ts";
import { canonicalJson } from "../util/json.ts";

/** The samples of a run, seen from the coordinator. */
export interface KnownSamples {
  /** Name of the data set for the model's metadata. */
  readonly name: string;
  readonly classNames: readonly string[];
  readonly otherClass?: number;
  readonly input: NetworkInput;
  readonly audio?: AudioInput;
  /** The coordinator's own training part: scale of the input, and source of a public pool. */
  readonly train?: Dataset;
  /** What branches and models are tried on. */
  readonly validation?: Dataset;
}

/** Loads what configurations name, each once. */
export type SamplesOf = (config: RunConfig) => Promise<KnownSamples>;

function stated({ data, serve: { samples } }: RunConfig): KnownSamples | undefined {
  if (!samples) return undefined;
  const { classNames, shape, mean, std } = samples;
  if (mean.length !== shape.channels || std.length !== shape.channels) {
    throw new SheafError(
      "config",
      `serve.samples: mean and std need a value for each of ${shape.channels} channels, got ${mean.length} and ${std.length}.`,
    );
  }
  return { name: data.name, classNames, input: { ...shape, mean, std } };
}

/** A loader that keeps what it has loaded. `dataFolder` is where data sets lie. */
export function openSamplesOf(dataFolder: string | undefined): SamplesOf {
  const known = new Map<string, Promise<KnownSamples>>();
  const load = async (config: RunConfig): Promise<KnownSamples> => {
    const { train, test } = await loadData(config, dataFolder === undefined ? {} : { data: dataFolder });
    const other = train.otherClass === undefined ? {} : { otherClass: train.otherClass };
    return {
      name: train.name,
      classNames: train.classNames,
      ...other,
      input: fitOf(train).input,
      ...audioInputOf(train),
      train,
      validation: test,
    };
  };
  return (config) => {
    const key = canonicalJson(JSON.parse(JSON.stringify([config.data, config.serve.samples ?? null])));
    let found = known.get(key);
    if (!found) {
      found = Promise.resolve(stated(config)).then((samples) => samples ?? load(config));
      known.set(key, found);
      // What failed is tried again: data may have been put there meanwhile.
      found.catch(() => known.delete(key));
    }
    return found;
  };
}
