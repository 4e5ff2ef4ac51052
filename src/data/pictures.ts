/** Samples as pictures to look at: images as they are, clips as log-mel spectrograms, arrays in grey. Gives pixels; encodes no files. */
import { interpolateViridis } from "d3-scale-chromatic";
import { openExtractor } from "../features/extract.ts";
import type { AudioFeatures } from "../features/features.ts";
import { featureShape } from "../features/features.ts";
import { type Dataset, samplesByClass } from "./dataset.ts";
import type { Samples } from "./samples.ts";

/** What the pictures show. */
export type PictureKind = "image" | "spectrogram" | "array";

/** Some samples of one class side by side. */
export interface PictureStrip {
  readonly classId: number;
  /** Samples shown; fewer than asked for where the class has no more. */
  readonly count: number;
  readonly width: number;
  readonly height: number;
  /** [height, width, 4]: red, green, blue and opacity; the gaps between samples are transparent. */
  readonly rgba: Uint8Array;
}

export interface SamplePictures {
  readonly kind: PictureKind;
  /** Pixels of one sample. */
  readonly width: number;
  readonly height: number;
  /** Transparent pixels between two samples. */
  readonly gap: number;
  readonly strips: readonly PictureStrip[];
}

const gap = 2;
/** Arrays with other numbers of channels than 1 and 3 show their first channels side by side. */
const shownChannels = 4;

/** Indices spread evenly over a class's samples, so that sets sorted by origin show more than one. */
function spreadOver(group: readonly number[], count: number): number[] {
  const shown = Math.min(count, group.length);
  return Array.from({ length: shown }, (_, i) => group[Math.floor((i * group.length) / shown)] as number);
}

/** Gives a sample's values, [planes, height, width], ready for shades or colours. */
interface Reader {
  readonly kind: PictureKind;
  readonly planes: number;
  readonly height: number;
  readonly width: number;
  read(index: number): ArrayLike<number>;
}

const melOf = (features: AudioFeatures): AudioFeatures => ({ ...features, type: "logMel" });

/** Log-mel even where the network is given cepstral coefficients, which say nothing to the eye. Time runs to the right, frequency upwards. */
function spectrograms(samples: Samples, features: AudioFeatures, clipSamples: number): Reader {
  const mel = melOf(features);
  const { height: frames, width: bands } = featureShape(mel, clipSamples);
  const extractor = openExtractor(mel, clipSamples);
  const wave = new Float32Array(clipSamples);
  const frame = new Float32Array(frames * bands);
  return {
    kind: "spectrogram",
    planes: 1,
    height: bands,
    width: frames,
    read(index) {
      samples.record(index).forEach((value, i) => {
        wave[i] = value / 32768;
      });
      extractor.extract(wave, frame);
      const turned = new Float32Array(frame.length);
      for (let t = 0; t < frames; t++) {
        for (let band = 0; band < bands; band++) turned[(bands - 1 - band) * frames + t] = frame[t * bands + band] as number;
      }
      return turned;
    },
  };
}

function readerOf(samples: Samples): Reader {
  const { audio, shape } = samples.dataset;
  if (audio) return spectrograms(samples, audio.features, audio.clipSamples);
  const { channels, height, width } = shape;
  const colours = channels === 1 || channels === 3;
  const read = (index: number): ArrayLike<number> => samples.record(index).slice();
  if (colours) return { kind: "image", planes: channels, height, width, read };
  // Planes of one sample side by side are one grey plane.
  const planes = Math.min(channels, shownChannels);
  const sideBySide = (index: number): ArrayLike<number> => {
    const values = samples.record(index);
    const laid = new Float32Array(planes * height * width);
    for (let plane = 0; plane < planes; plane++) {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) laid[(y * planes + plane) * width + x] = values[(plane * height + y) * width + x] as number;
      }
    }
    return laid;
  };
  return { kind: "array", planes: 1, height, width: planes * width, read: sideBySide };
}

/** The range that shades span: that of bytes, or all but the outermost hundredths of what is shown. */
function rangeOf(dataset: Dataset, shown: readonly ArrayLike<number>[]): readonly [number, number] {
  const { store, audio } = dataset;
  if (!audio && (store.type === "file" ? store.dtype === "uint8" : store.values instanceof Uint8Array)) return [0, 255];
  const sorted = Float32Array.from(shown.flatMap((values) => Array.from(values))).sort();
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] ?? 0;
  const [low, high] = [at(0.01), at(0.99)];
  return high > low ? [low, high] : [low - 0.5, low + 0.5];
}

/** 256 colours whose lightness rises evenly. */
const viridis: readonly (readonly [number, number, number])[] = Array.from({ length: 256 }, (_, i) => {
  const hex = interpolateViridis(i / 255);
  const parts = hex.startsWith("#") ? hex.match(/[0-9a-f]{2}/gi)?.map((part) => Number.parseInt(part, 16)) : hex.match(/\d+/g)?.map(Number);
  const [red = 0, green = 0, blue = 0] = parts ?? [];
  return [red, green, blue];
});

function paint(
  rgba: Uint8Array,
  stripWidth: number,
  left: number,
  values: ArrayLike<number>,
  reader: Reader,
  [low, high]: readonly [number, number],
): void {
  const { planes, height, width, kind } = reader;
  const area = height * width;
  const shade = (value: number): number => Math.max(0, Math.min(255, Math.round((255 * (value - low)) / (high - low))));
  for (let i = 0; i < area; i++) {
    const at = 4 * (Math.floor(i / width) * stripWidth + left + (i % width));
    const first = shade(values[i] as number);
    const [red, green, blue] =
      kind === "spectrogram"
        ? (viridis[first] as (typeof viridis)[number])
        : planes === 3
          ? [first, shade(values[area + i] as number), shade(values[2 * area + i] as number)]
          : [first, first, first];
    rgba.set([red, green, blue, 255], at);
  }
}

/** Pixels of one sample's picture, and what it shows. */
export function pictureSize({ shape, audio }: Pick<Dataset, "shape" | "audio">): {
  readonly kind: PictureKind;
  readonly width: number;
  readonly height: number;
} {
  if (audio) {
    const { height: frames, width: bands } = featureShape(melOf(audio.features), audio.clipSamples);
    return { kind: "spectrogram", width: frames, height: bands };
  }
  const { channels, height, width } = shape;
  if (channels === 1 || channels === 3) return { kind: "image", width, height };
  return { kind: "array", width: Math.min(channels, shownChannels) * width, height };
}

/**
 * Draws up to `perClass` samples of each of the first `classes` classes. Images of one and three channels look as they are; clips become
 * log-mel spectrograms with time to the right, low frequencies at the bottom and Viridis colours; of samples with other numbers of channels
 * the first four stand side by side in grey. Values that are no bytes are stretched over the shades, alike in all samples shown.
 * @example samplePictures(openSamples(train), { perClass: 8 }).strips[0]
 */
export function samplePictures(
  samples: Samples,
  { perClass, classes }: { readonly perClass: number; readonly classes?: number },
): SamplePictures {
  const { dataset } = samples;
  const reader = readerOf(samples);
  const groups = samplesByClass(dataset.labels, dataset.classNames.length).slice(0, classes);
  const shown = groups.map((group) => spreadOver(group, perClass).map((index) => reader.read(index)));
  const range = rangeOf(dataset, shown.flat());
  const strips = shown.map((values, classId): PictureStrip => {
    const width = Math.max(1, values.length * (reader.width + gap) - gap);
    const rgba = new Uint8Array(4 * width * reader.height);
    values.forEach((each, i) => void paint(rgba, width, i * (reader.width + gap), each, reader, range));
    return { classId, count: values.length, width, height: reader.height, rgba };
  });
  return { kind: reader.kind, width: reader.width, height: reader.height, gap, strips: strips.filter(({ count }) => count > 0) };
}
