/** Reads the records of CIFAR-10's and CIFAR-100's binary files (Krizhevsky 2009) from bytes. Opens no files. */
import { SheafError } from "../util/errors.ts";
import type { CoarseLabels, SampleShape } from "./dataset.ts";
import { sampleSize, sharedBytes, sharedLabels } from "./dataset.ts";

export const cifarShape: SampleShape = { channels: 3, height: 32, width: 32 };

/** A file's name, for messages, and content. */
export interface NamedBytes {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Class names of the label that is learned and, for CIFAR-100, of the coarse label, which comes first in a record. */
export interface CifarClasses {
  readonly fine: readonly string[];
  readonly coarse?: readonly string[];
}

export interface CifarRecords {
  readonly labels: Uint16Array;
  /** uint8, each sample [3, 32, 32]. */
  readonly pixels: Uint8Array;
  readonly coarse?: CoarseLabels;
}

const fetchAgain = "fetch the file again";

function recordCount({ name, bytes }: NamedBytes, labelBytes: number): number {
  const recordSize = labelBytes + sampleSize(cifarShape);
  const labelText = labelBytes === 1 ? "1 label byte" : `${labelBytes} label bytes`;
  const expected = `expected a multiple of ${recordSize} bytes (${labelText} and ${sampleSize(cifarShape)} pixel bytes a record)`;
  if (bytes.length === 0) throw new SheafError("data", `${name} is empty; ${expected}; ${fetchAgain}.`);
  if (bytes.length % recordSize !== 0) {
    throw new SheafError("data", `${name}: ${expected}, got ${bytes.length} bytes, so the last record is cut short; ${fetchAgain}.`);
  }
  return bytes.length / recordSize;
}

/**
 * The records of all files, one after another, over shared memory; their number follows from the files' sizes.
 * A record is one label byte (with coarse names: a coarse, then a fine one) and 3072 pixel bytes (red, green, blue planes, row by row).
 * Throws `data` for an empty file, one that ends inside a record, and a label without a class name.
 */
export function parseCifar(files: readonly NamedBytes[], classes: CifarClasses): CifarRecords {
  const labelBytes = classes.coarse ? 2 : 1;
  const size = sampleSize(cifarShape);
  const counts = files.map((file) => recordCount(file, labelBytes));
  const total = counts.reduce((a, b) => a + b, 0);
  const labels = sharedLabels(total);
  const coarseLabels = sharedLabels(classes.coarse ? total : 0);
  const pixels = sharedBytes(total * size);
  let sample = 0;
  for (const [fileIndex, { name, bytes }] of files.entries()) {
    const labelAt = (at: number, record: number, kind: string, names: readonly string[]): number => {
      const label = bytes[at]!;
      if (label < names.length) return label;
      const range = `expected 0 to ${names.length - 1}`;
      throw new SheafError("data", `${name}: record ${record} (counted from 0) has ${kind} ${label}, ${range}; ${fetchAgain}.`);
    };
    for (let record = 0; record < counts[fileIndex]!; record++, sample++) {
      const start = record * (labelBytes + size);
      if (classes.coarse) coarseLabels[sample] = labelAt(start, record, "coarse label", classes.coarse);
      labels[sample] = labelAt(start + labelBytes - 1, record, "label", classes.fine);
      pixels.set(bytes.subarray(start + labelBytes, start + labelBytes + size), sample * size);
    }
  }
  return { labels, pixels, ...(classes.coarse && { coarse: { classNames: classes.coarse, labels: coarseLabels } }) };
}

/** Class names from a text file with one name a line; empty lines are skipped. Throws `data` unless there are `expected` names. */
export function parseClassNames({ name, bytes }: NamedBytes, expected: number): string[] {
  // Class names are ASCII; decoding them so needs no platform.
  const names = Array.from(bytes, (byte) => String.fromCharCode(byte))
    .join("")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  if (names.length !== expected) {
    throw new SheafError("data", `${name}: expected ${expected} class names, one a line, got ${names.length}; ${fetchAgain}.`);
  }
  return names;
}
