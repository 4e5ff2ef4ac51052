/** One array of images as samples: which axis is which, labels that fit it, and reading one sample by place. */
import { SheafError } from "../../util/errors.ts";
import type { SampleShape } from "../dataset.ts";
import { recentBlocks } from "./blocks.ts";
import type { ByteFile } from "./byteFile.node.ts";
import type { NpyHeader } from "./npy.ts";
import { isNumeric, npyBytes, npyNumbers } from "./npy.ts";

/** An array whose header was read. */
export interface OpenArray {
  readonly file: ByteFile;
  readonly header: NpyHeader;
}

/** How the samples of an array lie in it. */
export interface Layout {
  readonly shape: SampleShape;
  readonly channelsLast: boolean;
}

/** Tells [N, H, W], [N, H, W, C] and [N, C, H, W] apart: channels are the axis of 1 to 4, else the one that leaves a square. Throws `data`. */
export function layoutOf({ file, header: { shape } }: OpenArray): Layout {
  const refuse = (expected: string): never => {
    throw new SheafError("data", `${file.where}: expected images as ${expected}, got the shape (${shape.join(", ")}); reshape the array.`);
  };
  const [count = 0, a = 0, b = 0, c] = shape;
  if ((shape.length !== 3 && shape.length !== 4) || count * a * b * (c ?? 1) === 0)
    return refuse("[N, H, W], [N, H, W, C] or [N, C, H, W]");
  if (c === undefined) return { shape: { channels: 1, height: a, width: b }, channelsLast: false };
  const few = (extent: number): boolean => extent <= 4;
  const isLast = few(a) === few(c) ? a === b : few(c);
  const isFirst = few(a) === few(c) ? b === c : few(a);
  if (isLast === isFirst) return refuse("[N, H, W, C] or [N, C, H, W] with 1 to 4 channels or square, so that one can tell which");
  return isLast
    ? { shape: { channels: c, height: a, width: b }, channelsLast: true }
    : { shape: { channels: a, height: b, width: c }, channelsLast: false };
}

/** Throws `data` for values that are no numbers and arrays in column order. */
export function requireRows({ file, header }: OpenArray, what: string): void {
  if (!isNumeric(header)) {
    throw new SheafError("data", `${file.where}: expected ${what} as numbers, got the type ${header.type}; convert the array with astype.`);
  }
  if (header.fortranOrder) {
    throw new SheafError(
      "data",
      `${file.where}: expected ${what} in C order, got Fortran order; write numpy.ascontiguousarray of the array.`,
    );
  }
}

/** The labels of a part: [N] or [N, 1]. Throws `data` when there are more or fewer than images. */
export async function readLabels(array: OpenArray, images: OpenArray): Promise<Uint8Array | Float64Array> {
  const { file, header } = array;
  const [count = 0, columns = 1] = header.shape;
  const imageCount = images.header.shape[0];
  if (header.shape.length < 1 || header.shape.length > 2 || columns !== 1) {
    throw new SheafError(
      "data",
      `${file.where}: expected one label for each image, shape [N] or [N, 1], got (${header.shape.join(", ")}); ` +
        `of one-hot labels save the argmax; several labels at a time are not supported.`,
    );
  }
  requireRows(array, "labels");
  if (count !== imageCount) {
    throw new SheafError(
      "data",
      `${file.where} has ${count} labels, but ${images.file.where} has ${imageCount} images; expected as many; save both again.`,
    );
  }
  return npyNumbers(header, await file.read(header.dataStart, npyBytes(header)), count);
}

/** [H, W, C] or [C, H, W] as read to [C, H, W] in memory of its own. */
function toSample(numbers: Uint8Array | Float64Array, { shape, channelsLast }: Layout): Uint8Array | Float32Array {
  const sample = numbers instanceof Uint8Array ? new Uint8Array(numbers.length) : new Float32Array(numbers.length);
  if (!channelsLast) {
    sample.set(numbers);
    return sample;
  }
  const area = shape.height * shape.width;
  for (let pixel = 0; pixel < area; pixel++) {
    for (let channel = 0; channel < shape.channels; channel++) {
      sample[channel * area + pixel] = numbers[pixel * shape.channels + channel] as number;
    }
  }
  return sample;
}

const blockBytes = 1024 * 1024;

/** Reads one sample at a time from blocks of about 1 MiB. */
export function sampleReader({ file, header }: OpenArray, layout: Layout): (index: number) => Promise<Uint8Array | Float32Array> {
  const count = header.shape[0] as number;
  const recordBytes = npyBytes(header) / count;
  const perBlock = Math.max(1, Math.floor(blockBytes / recordBytes));
  const block = recentBlocks(2, (number) => {
    const records = Math.min(perBlock, count - number * perBlock);
    return file.read(header.dataStart + number * perBlock * recordBytes, records * recordBytes);
  });
  return async (index) => {
    const number = Math.floor(index / perBlock);
    const start = (index - number * perBlock) * recordBytes;
    const bytes = (await block(number)).subarray(start, start + recordBytes);
    const sample = toSample(npyNumbers(header, bytes, layout.shape.channels * layout.shape.height * layout.shape.width), layout);
    if (sample instanceof Float32Array && !sample.every(Number.isFinite)) {
      throw new SheafError("data", `${file.where} row ${index}: expected finite numbers, got NaN or infinity; correct the array.`);
    }
    return sample;
  };
}
