/** Image files to samples and back: decodes PNG, JPEG and WebP with sharp, writes PNG. */
import { writeFile } from "node:fs/promises";
import sharp from "sharp";
import { SheafError } from "../util/errors.ts";
import { readFileChecked } from "../util/files.node.ts";
import type { SampleShape } from "./dataset.ts";
import { sampleSize } from "./dataset.ts";
import { decodeImage, type Resize } from "./decodeImage.node.ts";
import type { Samples } from "./samples.ts";

function requireImageShape({ channels }: SampleShape): void {
  if (channels !== 1 && channels !== 3) {
    throw new SheafError("config", `Images have 1 (grey) or 3 (RGB) channels, but the sample shape has ${channels}.`);
  }
}

/** [C, H, W] to [H, W, C]. */
function toInterleaved(planes: Uint8Array, { channels, height, width }: SampleShape): Uint8Array {
  const area = height * width;
  const interleaved = new Uint8Array(channels * area);
  for (let pixel = 0; pixel < area; pixel++) {
    for (let channel = 0; channel < channels; channel++) interleaved[pixel * channels + channel] = planes[channel * area + pixel]!;
  }
  return interleaved;
}

/**
 * Reads an image file as one sample: bytes [channels, height, width], RGB (or grey for one channel), decoded as own data are prepared:
 * upright as its EXIF data says, transparent parts black, made to fit the shape as `resize` says.
 * Throws `data`, naming the path, when the file is missing, no image, damaged, or of another format than PNG, JPEG and WebP.
 * @example const pixels = await readImage("cat.jpg", { channels: 3, height: 32, width: 32 });
 */
export async function readImage(path: string, shape: SampleShape, resize: Resize = "cover"): Promise<Uint8Array> {
  requireImageShape(shape);
  return decodeImage(await readFileChecked(path, "an image"), path, shape, resize);
}

/** The bytes of a PNG file showing one sample ([channels, height, width], 1 or 3 channels). Throws `config` for another number of channels. */
export async function encodePng(pixels: Uint8Array, shape: SampleShape): Promise<Uint8Array> {
  requireImageShape(shape);
  if (pixels.length !== sampleSize(shape)) {
    throw new SheafError(
      "internal",
      `An image [${shape.channels}, ${shape.height}, ${shape.width}] needs ${sampleSize(shape)} bytes, got ${pixels.length}.`,
    );
  }
  const raw = { width: shape.width, height: shape.height, channels: shape.channels as 1 | 3 };
  return sharp(toInterleaved(pixels, shape), { raw }).png().toBuffer();
}

/** Writes one sample as a PNG file. Throws `storage`, naming the path, when it cannot be written. */
export async function writePng(path: string, pixels: Uint8Array, shape: SampleShape): Promise<void> {
  const png = await encodePng(pixels, shape);
  try {
    await writeFile(path, png);
  } catch (error) {
    throw new SheafError(
      "storage",
      `Cannot write the image ${path} (${error instanceof Error ? error.message : error}); choose another place.`,
      {
        cause: error,
      },
    );
  }
}

/**
 * Samples of a set of images side by side as one picture, row by row with `gap` white pixels between them.
 * Returns the picture's bytes and shape, ready for `writePng`.
 */
export function contactSheet(
  samples: Samples,
  indices: ArrayLike<number>,
  columns: number,
  gap = 2,
): { readonly pixels: Uint8Array; readonly shape: SampleShape } {
  const { channels, height, width } = samples.dataset.shape;
  const rows = Math.ceil(indices.length / columns);
  const shape = { channels, height: rows * (height + gap) + gap, width: columns * (width + gap) + gap };
  const pixels = new Uint8Array(sampleSize(shape)).fill(255);
  for (let i = 0; i < indices.length; i++) {
    const top = gap + Math.floor(i / columns) * (height + gap);
    const image = samples.record(indices[i]!);
    const left = gap + (i % columns) * (width + gap);
    for (let row = 0; row < channels * height; row++) {
      const channel = Math.floor(row / height);
      pixels.set(image.subarray(row * width, (row + 1) * width), (channel * shape.height + top + (row % height)) * shape.width + left);
    }
  }
  return { pixels, shape };
}

/** How pixels become a file: without loss, or small. */
export type PictureEncoding = { readonly format: "png" } | { readonly format: "webp"; readonly quality: number };

/**
 * An image of red, green, blue and opacity, [height, width, 4], as a data URL that stands in a page for the file.
 * `largest` shrinks an image that is higher than so many pixels.
 */
export async function pictureDataUrl(
  { rgba, width, height }: { readonly rgba: Uint8Array; readonly width: number; readonly height: number },
  encoding: PictureEncoding,
  largestHeight?: number,
): Promise<string> {
  const image = sharp(rgba, { raw: { width, height, channels: 4 } });
  if (largestHeight !== undefined && height > largestHeight) image.resize({ height: largestHeight });
  const encoded = encoding.format === "png" ? image.png({ compressionLevel: 9 }) : image.webp({ quality: encoding.quality, effort: 6 });
  return `data:image/${encoding.format};base64,${(await encoded.toBuffer()).toString("base64")}`;
}

/** An SVG as the bytes of a PNG file, with `scale` pixels for each of its own. */
export async function svgToPng(svg: string, scale: number = 2): Promise<Uint8Array> {
  return sharp(new TextEncoder().encode(svg), { density: 72 * scale, limitInputPixels: false, unlimited: true })
    .png()
    .toBuffer();
}
