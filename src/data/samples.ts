/** Reading the stored records of a data set. Stores in files are read by `samples.node.ts`. */
import { type Extractor, openExtractor } from "../features/extract.ts";
import { SheafError } from "../util/errors.ts";
import { type Dataset, recordLength, type SampleValues } from "./dataset.ts";
import { readChanged } from "./made.ts";

/** Records side by side. */
export interface Records {
  readonly values: SampleValues;
  /** Where the record of each sample begins in `values`. */
  readonly offsets: Float64Array;
}

/** A data set opened for reading in this thread. */
export interface Samples extends Disposable {
  readonly dataset: Dataset;
  /** Makes features of clips; present for audio sets. */
  readonly extractor?: Extractor;
  /** The records of the samples at `indices`, valid until the next call. Throws `data` for an index out of range. */
  read(indices: ArrayLike<number>): Records;
  /** Values of one sample as stored, valid until the next call. */
  record(index: number): SampleValues;
  /** Frees what reading needs; closing twice is fine. */
  close(): void;
}

export type OpenSamples = (dataset: Dataset) => Samples;

/** Fills in what all kinds of stores have in common. `locate` is given checked record numbers. */
export function samplesOf(dataset: Dataset, locate: (records: Float64Array) => Records, close: () => void = () => {}): Samples {
  const length = recordLength(dataset);
  const read = (indices: ArrayLike<number>): Records => {
    const records = new Float64Array(indices.length);
    for (let n = 0; n < indices.length; n++) {
      const index = indices[n] as number;
      if (!(index >= 0 && index < dataset.labels.length)) {
        throw new SheafError("data", `${dataset.name} has samples 0 to ${dataset.labels.length - 1}, but sample ${index} was asked for.`);
      }
      records[n] = dataset.records?.[index] ?? index;
    }
    return readChanged(dataset, indices, locate(records));
  };
  return {
    dataset,
    read,
    record(index) {
      const { values, offsets } = read([index]);
      const start = offsets[0] as number;
      return values.subarray(start, start + length);
    },
    close,
    [Symbol.dispose]: close,
    ...(dataset.audio && { extractor: openExtractor(dataset.audio.features, dataset.audio.clipSamples) }),
  };
}

/** Opens a data set that lies in memory; reading copies nothing. Throws `internal` for one in a file, which only Node reads. */
export function openMemorySamples(dataset: Dataset): Samples {
  const { store } = dataset;
  if (store.type !== "memory") {
    throw new SheafError(
      "internal",
      `${dataset.name} lies in the file ${store.path}, which can only be read in Node; open it with openSamples of sheaf/data there.`,
    );
  }
  const length = recordLength(dataset);
  return samplesOf(dataset, (records) => ({ values: store.values, offsets: records.map((record) => record * length) }));
}
