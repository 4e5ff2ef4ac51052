/** A public pool of samples as one file, and a device's own samples with such a pool behind them. */
import { SheafError } from "../util/errors.ts";
import { decodeSafetensors, encodeSafetensors } from "../util/safetensors.ts";
import { type Tensor, tensor } from "../util/tensor.ts";
import { type Dataset, recordLength, type SampleDType, type SampleValues, sharedLabels } from "./dataset.ts";
import { type OpenSamples, type Samples, samplesOf } from "./samples.ts";

/** Samples that came in a file. */
export interface Pool {
  readonly values: SampleValues;
  /** Values of one record. */
  readonly recordLength: number;
  /** Class ids of the run. */
  readonly labels: Uint16Array;
}

const dtypeOf = (values: SampleValues): SampleDType =>
  values instanceof Uint8Array ? "uint8" : values instanceof Int16Array ? "int16" : "float32";

const views: { readonly [D in SampleDType]: (buffer: ArrayBuffer) => SampleValues } = {
  uint8: (buffer) => new Uint8Array(buffer),
  int16: (buffer) => new Int16Array(buffer),
  float32: (buffer) => new Float32Array(buffer),
};

/** The samples at `indices` as a safetensors file: records in their stored form, and labels. The same samples give the same bytes. */
export function encodePool(samples: Samples, indices: ArrayLike<number>): Uint8Array<ArrayBuffer> {
  const { labels } = samples.dataset;
  const length = recordLength(samples.dataset);
  const records = Array.from(indices, (i) => samples.record(i).slice());
  const dtype = dtypeOf(records[0] ?? new Uint8Array());
  const bytesEach = length * (records[0]?.BYTES_PER_ELEMENT ?? 1);
  const bytes = new Uint8Array(bytesEach * records.length);
  records.forEach((record, n) => {
    bytes.set(new Uint8Array(record.buffer, record.byteOffset, record.byteLength), n * bytesEach);
  });
  const tensors = new Map<string, Tensor>([
    ["records", tensor("uint8", [records.length, bytesEach], bytes)],
    [
      "labels",
      tensor(
        "int32",
        [records.length],
        Int32Array.from(indices, (i) => labels[i] as number),
      ),
    ],
  ]);
  return encodeSafetensors(tensors, { format: "sheaf-pool", dtype });
}

/** Undoes `encodePool`. Throws `corrupt`, naming `what`, for bytes that are no pool or hold a class that is not below `classCount`. */
export function decodePool(bytes: Uint8Array, what: string, classCount: number): Pool {
  const { tensors, metadata } = decodeSafetensors(bytes, what);
  const refuse = (reason: string): never => {
    throw new SheafError("corrupt", `${what} is not a pool of samples: ${reason}; publish the pool again.`);
  };
  const [records, labels] = [tensors.get("records"), tensors.get("labels")];
  const view = views[metadata.dtype as SampleDType];
  if (!view || records?.dtype !== "uint8" || labels?.dtype !== "int32") return refuse("it lacks records, labels or their type");
  const [count = 0, bytesEach = 0] = records.shape;
  const values = view((records.data as Uint8Array).slice().buffer as ArrayBuffer);
  if (labels.data.length !== count) return refuse(`${count} records have ${labels.data.length} labels`);
  const ids = labels.data as Int32Array;
  const bad = ids.find((id) => id < 0 || id >= classCount);
  if (bad !== undefined) refuse(`it has a sample of class ${bad}, but there are ${classCount} classes`);
  return { values, recordLength: bytesEach / values.BYTES_PER_ELEMENT, labels: Uint16Array.from(ids) };
}

/** A data set that continues in a pool. */
export interface PooledData {
  /** Own samples first; those of the pool follow. */
  readonly dataset: Dataset;
  /** Places of the pool's samples in `dataset`. */
  readonly pool: Uint32Array;
  /** Opens `dataset`, and no other. */
  readonly openSamples: OpenSamples;
}

/** `own` with the samples of a pool behind its own; `name` tells the pool from others (its hash). Throws `data` where the records differ in size or type. */
export function withPool(own: Dataset, pool: Pool, name: string, open: OpenSamples): PooledData {
  const length = recordLength(own);
  const ownCount = own.labels.length;
  const dtype = own.store.type === "memory" ? dtypeOf(own.store.values) : own.store.dtype;
  if (pool.labels.length > 0 && (pool.recordLength !== length || dtypeOf(pool.values) !== dtype)) {
    throw new SheafError(
      "data",
      `Samples of the public pool have ${pool.recordLength} values of ${dtypeOf(pool.values)}, those of ${own.name} ${length} of ${dtype}; prepare the data as the run's coordinator did.`,
    );
  }
  const labels = sharedLabels(ownCount + pool.labels.length);
  labels.set(own.labels);
  labels.set(pool.labels, ownCount);
  const { records: _, coarse: __, changed: ___, ...rest } = own;
  const { source, sha256 } = own.provenance;
  const dataset: Dataset = { ...rest, labels, provenance: { source: `${source}; public pool`, sha256: `${sha256}+${name}` } };
  return {
    dataset,
    pool: Uint32Array.from(pool.labels, (_label, i) => ownCount + i),
    openSamples(asked) {
      if (asked !== dataset) throw new SheafError("internal", `${asked.name} is not the data set that was joined with this pool.`);
      const inner = open(own);
      const make = views[dtype];
      return samplesOf(
        dataset,
        (places) => {
          const values = make(new ArrayBuffer(places.length * length * pool.values.BYTES_PER_ELEMENT));
          places.forEach((place, n) => {
            const record =
              place < ownCount ? inner.record(place) : pool.values.subarray((place - ownCount) * length, (place - ownCount + 1) * length);
            values.set(record, n * length);
          });
          return { values, offsets: Float64Array.from(places, (_place, n) => n * length) };
        },
        () => inner.close(),
      );
    },
  };
}
