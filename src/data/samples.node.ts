/** Reading data sets whose records lie in a file: one read for each record, into one buffer for each batch. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { SheafError } from "../util/errors.ts";
import { type Dataset, recordLength, type SampleDType, type SampleValues } from "./dataset.ts";
import { openMemorySamples, type Samples, samplesOf } from "./samples.ts";

const valueTypes: { readonly [D in SampleDType]: { readonly bytes: number; readonly view: (buffer: ArrayBuffer) => SampleValues } } = {
  uint8: { bytes: 1, view: (buffer) => new Uint8Array(buffer) },
  int16: { bytes: 2, view: (buffer) => new Int16Array(buffer) },
  float32: { bytes: 4, view: (buffer) => new Float32Array(buffer) },
};

/**
 * Opens a data set in memory or in a file. Throws `data`, naming the path, when the file is missing or has not the size that it had
 * when the set was prepared; likewise while reading when it is cut.
 * @example const samples = openSamples(train); samples.record(0); samples.close();
 */
export function openSamples(dataset: Dataset): Samples {
  const { store } = dataset;
  if (store.type === "memory") return openMemorySamples(dataset);
  const { path, dtype, bytes } = store;
  const type = valueTypes[dtype];
  const length = recordLength(dataset);
  const recordBytes = length * type.bytes;
  let file: number | undefined;
  try {
    file = openSync(path, "r");
  } catch (cause) {
    throw new SheafError(
      "data",
      `The prepared samples of ${dataset.name} in ${path} cannot be opened (${(cause as NodeJS.ErrnoException).code}); run again to prepare them anew.`,
      { cause },
    );
  }
  const got = fstatSync(file).size;
  if (got !== bytes) {
    closeSync(file);
    throw new SheafError(
      "data",
      `${path} has ${got} bytes, but the prepared samples of ${dataset.name} have ${bytes}; delete the file and run again to prepare them anew.`,
    );
  }
  let buffer = new ArrayBuffer(0);
  return samplesOf(
    dataset,
    (records) => {
      if (file === undefined) throw new SheafError("internal", `The samples of ${dataset.name} were read after they were closed.`);
      if (buffer.byteLength < records.length * recordBytes) buffer = new ArrayBuffer(records.length * recordBytes);
      for (let n = 0; n < records.length; n++) {
        const position = (records[n] as number) * recordBytes;
        const view = new Uint8Array(buffer, n * recordBytes, recordBytes);
        for (let at = 0; at < recordBytes; ) {
          const count = readSync(file, view, at, recordBytes - at, position + at);
          if (count === 0)
            throw new SheafError(
              "data",
              `${path} ends within record ${records[n]} of ${dataset.name}; delete the file and run again to prepare them anew.`,
            );
          at += count;
        }
      }
      return { values: type.view(buffer), offsets: Float64Array.from(records, (_, n) => n * length) };
    },
    () => {
      if (file !== undefined) closeSync(file);
      file = undefined;
    },
  );
}
