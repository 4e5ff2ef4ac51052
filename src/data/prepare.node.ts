/**
 * Own data made ready for training: every sample is decoded once into a file of records of one size, which is kept in the cache and found again.
 * What training needs beyond that (parts, statistics, noise) is made from the records. Memory stays bounded whatever the size of the set.
 */
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { SheafError } from "../util/errors.ts";
import { readFileChecked, writeFileAtomic } from "../util/files.node.ts";
import { sha256Hex } from "../util/hash.node.ts";
import { inOrder } from "../util/inOrder.ts";
import { random } from "../util/random.ts";
import type { AudioSource, Dataset, DatasetSplits, SampleStore } from "./dataset.ts";
import { sharedLabels, subset, takeSamples } from "./dataset.ts";
import { readNoise } from "./noise.node.ts";
import { generateNoise } from "./noise.ts";
import { partsOf } from "./parts.ts";
import type { NewRecord, RecordFile, SkippedSample } from "./recordFile.node.ts";
import { findRecords, readRecords, sweepTemporaryFiles, writeRecords } from "./recordFile.node.ts";
import { type Recording, type RecordingOptions, recordings } from "./recording.node.ts";
import { sampleStatistics } from "./sampleStatistics.ts";
import { openSamples } from "./samples.node.ts";
import type { SampleSource } from "./sources/source.ts";

export interface PrepareProgress {
  readonly done: number;
  readonly total: number;
  readonly skipped: number;
}

export interface PrepareOptions extends RecordingOptions {
  /** Share of the samples for test where the data name none. */
  readonly testShare: number;
  /** Leave out samples that cannot be read or decoded, instead of refusing the set. */
  readonly skipBadFiles: boolean;
  readonly seed: number;
  /** Use only so many samples of a part (a seeded, stratified subset). */
  readonly trainCount?: number | undefined;
  readonly testCount?: number | undefined;
  /** Prepared sets are kept in its folder `prepared`. */
  readonly cacheDir: string;
  /** Sets up to this size are read into shared memory, larger ones stay in their file; 256 MiB unless given. */
  readonly memoryLimitBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: PrepareProgress) => void) | undefined;
}

/** A prepared set, and what happened on the way. */
export interface PreparedSplits extends DatasetSplits {
  /** The samples that were left out, with the reasons. */
  readonly skipped: readonly SkippedSample[];
  /** What the listing had to say, each a sentence. */
  readonly notes: readonly string[];
  /** Whether the records were found in the cache, so that nothing was decoded. */
  readonly isReused: boolean;
  /** The file of records. */
  readonly path: string;
}

/** Raised when the same sources and options give other records than before. */
const recordVersion = 1;
const defaultMemoryLimitBytes = 256 * 2 ** 20;
/** Noise to mix into training clips: as much as is generated, and the most that is taken from recordings. */
const generatedNoiseSeconds = 60;
const mostNoiseSeconds = 600;

function throwIfStopped(name: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new SheafError("interrupted", `Preparing ${name} was stopped; nothing was kept.`);
}

/** Why a sample is bad, when it is the sample's fault; anything else is thrown on. */
function badSample(error: unknown, skipBadFiles: boolean): string {
  if (!(error instanceof SheafError) || error.code !== "data") throw error;
  if (skipBadFiles) return error.message;
  const sentence = error.message.replace(/\.$/, "");
  throw new SheafError("data", `${sentence}; correct it, or set data.skipBadFiles to true to leave bad files out.`, { cause: error });
}

/** Decodes all entries, in their order, a few at a time. */
async function* decodeAll(
  name: string,
  source: SampleSource,
  recording: Recording,
  options: PrepareOptions,
  skipped: SkippedSample[],
): AsyncGenerator<NewRecord, void, undefined> {
  const { skipBadFiles, signal, onProgress } = options;
  const { entries, classNames, coarse } = source;
  const atOnce = Math.min(16, 2 * availableParallelism());
  const decoded = inOrder(entries, atOnce, async ({ where, label, read }) => {
    throwIfStopped(name, signal);
    if (!(label >= 0 && label < classNames.length)) {
      throw new SheafError("data", `${where}: expected a label from 0 to ${classNames.length - 1}, got ${label}.`);
    }
    try {
      return await recording.decode(await read(), where);
    } catch (error) {
      return badSample(error, skipBadFiles);
    }
  });
  let index = 0;
  for await (const values of decoded) {
    const entry = entries[index]!;
    if (typeof values === "string") skipped.push({ where: entry.where, reason: values });
    else yield { values, label: entry.label, part: entry.split, coarse: coarse?.labels[index] };
    index++;
    onProgress?.({ done: index, total: entries.length, skipped: skipped.length });
  }
}

interface Found {
  readonly records: RecordFile;
  readonly store: SampleStore;
  readonly isReused: boolean;
}

/** The records from the cache, or decoded into it; small ones in shared memory. */
async function recordsOf(
  name: string,
  source: SampleSource,
  recording: Recording,
  folder: string,
  options: PrepareOptions,
): Promise<Found> {
  const key = sha256Hex(JSON.stringify([recordVersion, source.fingerprint, recording.recipe])).slice(0, 32);
  const load = async (isReused: boolean): Promise<Found | undefined> => {
    const records = await findRecords(folder, key);
    if (!records) return undefined;
    const { path, dtype, bytes } = records;
    if (bytes > (options.memoryLimitBytes ?? defaultMemoryLimitBytes)) {
      return { records, store: { type: "file", path, dtype, bytes }, isReused };
    }
    const values = await readRecords(records);
    return values && { records, store: { type: "memory", values }, isReused };
  };
  await sweepTemporaryFiles(folder);
  const found = await load(true);
  if (found) {
    const [first] = found.records.skipped;
    if (first && !options.skipBadFiles) badSample(new SheafError("data", first.reason), false);
    return found;
  }
  const skipped: SkippedSample[] = [];
  await writeRecords(folder, key, recording.dtype, decodeAll(name, source, recording, options, skipped), () => skipped);
  const made = await load(false);
  if (!made) {
    throw new SheafError(
      "storage",
      `The prepared samples of ${name} in ${folder} changed while they were read; another program writes there; try again.`,
    );
  }
  return made;
}

/** Noise to mix into training clips, from the set's recordings or generated, at least a clip long. */
async function noiseOf(
  source: SampleSource,
  recording: Recording,
  { features, skipBadFiles }: PrepareOptions,
  skipped: SkippedSample[],
): Promise<Int16Array> {
  const { sampleRate } = features;
  const recordings: Int16Array[] = [];
  for (const path of source.noise ?? []) {
    try {
      recordings.push(...(await readNoise([path], sampleRate)));
    } catch (error) {
      skipped.push({ where: path, reason: badSample(error, skipBadFiles) });
    }
  }
  if (recordings.length === 0) recordings.push(generateNoise(generatedNoiseSeconds * sampleRate, random(recordVersion, "noise")));
  const there = recordings.reduce((sum, { length }) => sum + length, 0);
  const length = Math.max(recording.clipSamples, Math.min(there, mostNoiseSeconds * sampleRate));
  const noise = new Int16Array(new SharedArrayBuffer(2 * length));
  for (let place = 0, i = 0; place < length; i++) {
    const stretch = recordings[i % recordings.length]!.subarray(0, length - place);
    noise.set(stretch, place);
    place += stretch.length;
  }
  return noise;
}

/** A listing's title with the last part of its path alone: where the data lie would make two machines' runs of one set differ. */
function withoutPlace(title: string): string {
  const slash = title.search(/[/\\]/);
  if (slash < 0) return title;
  const start = title.lastIndexOf(" ", slash) + 1;
  return title.slice(0, start) + basename(title.slice(start));
}

/** Statistics of a training part; kept in the cache, since of a large set they take a while. */
async function statisticsOf(train: Dataset, folder: string, { seed, signal }: PrepareOptions): Promise<{ mean: number[]; std: number[] }> {
  const { records, audio, provenance, shape } = train;
  const chosen = sha256Hex(records ? new Uint8Array(records.buffer, records.byteOffset, records.byteLength) : "");
  const key = sha256Hex(JSON.stringify([recordVersion, provenance.sha256, chosen, shape, audio && [audio.features, seed]])).slice(0, 32);
  const path = join(folder, `${key}.statistics.json`);
  const isStatistics = (value: unknown): value is number[] =>
    Array.isArray(value) && value.length === shape.channels && value.every((number) => Number.isFinite(number));
  try {
    const { mean, std } = JSON.parse(new TextDecoder().decode(await readFileChecked(path, "statistics"))) as {
      mean: unknown;
      std: unknown;
    };
    if (isStatistics(mean) && isStatistics(std)) return { mean, std };
  } catch {
    // Not there, or damaged: made anew.
  }
  const samples = openSamples(train);
  try {
    const statistics = await sampleStatistics(samples, seed, signal);
    await writeFileAtomic(path, JSON.stringify(statistics));
    return statistics;
  } finally {
    samples.close();
  }
}

function sourceText(
  { title }: SampleSource,
  recording: Recording,
  count: number,
  skipped: readonly SkippedSample[],
  isDrawn: boolean,
  options: PrepareOptions,
): string {
  const left =
    skipped.length > 0
      ? `; ${skipped.length} bad files left out (${skipped
          .slice(0, 3)
          .map(({ where }) => basename(where))
          .join(", ")}${skipped.length > 3 ? ", ..." : ""})`
      : "";
  const drawn = isDrawn ? `; test part of ${options.testShare} drawn with seed ${options.seed}` : "";
  return `${withoutPlace(title)}, ${count} samples ${recording.title}${left}${drawn}`;
}

/**
 * Makes own data ready: decodes every entry once, in order, into a file of records in `cacheDir/prepared` (written under a temporary name, found again
 * by the listing's fingerprint and the options), takes the parts that the data name or draws a test part, and computes the statistics of the training part.
 * Sets up to `memoryLimitBytes` lie in shared memory, larger ones stay in their file. The listing is left open.
 * Throws `data` for a bad sample (naming its path, what was expected and what it got) unless `skipBadFiles`, `config` for parts without samples,
 * `storage` when the disk refuses, `interrupted` on abort; nothing half done is kept or used.
 * @example const { train, test } = await prepareSource("photos", await openSource("./photos", {}), options);
 */
export async function prepareSource(name: string, source: SampleSource, options: PrepareOptions): Promise<PreparedSplits> {
  const recording = recordings[source.kind](options, source);
  const folder = join(options.cacheDir, "prepared");
  try {
    throwIfStopped(name, options.signal);
    const { records, store, isReused } = await recordsOf(name, source, recording, folder, options);
    const skipped = [...records.skipped];
    if (records.labels.length === 0) {
      throw new SheafError(
        "data",
        `${source.title} has no sample that can be used: expected one or more, got ${skipped.length} bad ones${skipped[0] ? `, the first: ${skipped[0].reason}` : "."}`,
      );
    }
    const labels = sharedLabels(records.labels.length);
    labels.set(records.labels);
    const parts = partsOf(labels, source.classNames.length, records.parts, options);
    const audio: AudioSource | undefined =
      source.kind === "audio"
        ? { features: options.features, clipSamples: recording.clipSamples, noise: await noiseOf(source, recording, options, skipped) }
        : undefined;
    const { channels, height, width } = recording.shape;
    const whole: Dataset = {
      name,
      classNames: source.classNames,
      shape: { channels, height, width },
      labels,
      store,
      mean: [],
      std: [],
      provenance: { source: sourceText(source, recording, labels.length, skipped, parts.isDrawn, options), sha256: records.sha256 },
      ...(audio && { audio }),
      ...(source.coarse && records.coarse && { coarse: { classNames: source.coarse.classNames, labels: records.coarse } }),
      ...(source.otherClass !== undefined && { otherClass: source.otherClass }),
    };
    const take = (indices: Uint32Array, part: string, count: number | undefined): Dataset => {
      const taken = takeSamples(whole, indices, `${part} part`);
      return count === undefined ? taken : subset(taken, count, options.seed);
    };
    const train = take(parts.train, "training", options.trainCount);
    const untrained = source.classNames.filter((_, label) => !train.labels.includes(label));
    const statistics = await statisticsOf(train, folder, options);
    return {
      train: { ...train, ...statistics },
      test: { ...take(parts.test, "test", options.testCount), ...statistics },
      ...(parts.validation.length > 0 && { validation: { ...take(parts.validation, "validation", undefined), ...statistics } }),
      skipped,
      notes: [...(source.notes ?? []), ...(untrained.length > 0 ? [`No training sample is of class ${untrained.join(", ")}.`] : [])],
      isReused,
      path: records.path,
    };
  } finally {
    await recording.close();
  }
}
