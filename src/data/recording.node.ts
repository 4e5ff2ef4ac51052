/** How samples of each kind become records of one size: images as bytes, audio as 16-bit clips, arrays as they are. */
import { type AudioFeatures, checkAudioFeatures, featureShape } from "../features/features.ts";
import { SheafError } from "../util/errors.ts";
import { openClipDecoder } from "./clipDecoder.ts";
import type { SampleDType, SampleShape, SampleValues } from "./dataset.ts";
import { sampleSize } from "./dataset.ts";
import { decodeImage, imageDecoderVersion, type Resize } from "./decodeImage.node.ts";
import type { SampleSource } from "./sources/source.ts";

export interface RecordingOptions {
  /** Of images: the size that all are brought to; 1 channel is grey, 3 are RGB. */
  readonly imageSize: { readonly height: number; readonly width: number; readonly channels: 1 | 3 };
  readonly resize: Resize;
  /** Of audio: length that clips are cut or padded to. */
  readonly clipMs: number;
  readonly features: AudioFeatures;
}

/** How the samples of a set become records. */
export interface Recording {
  readonly dtype: SampleDType;
  readonly shape: SampleShape;
  /** Samples of a clip; 0 unless the set is audio. */
  readonly clipSamples: number;
  /** All that decides the bytes of a record, beside the sample itself. */
  readonly recipe: readonly unknown[];
  readonly title: string;
  decode(bytes: Uint8Array | Float32Array, where: string): Promise<SampleValues>;
  close(): Promise<void>;
}

function imageRecording({ imageSize, resize }: RecordingOptions): Recording {
  const { channels, height, width } = imageSize;
  return {
    dtype: "uint8",
    shape: imageSize,
    clipSamples: 0,
    recipe: ["image", channels, height, width, resize, imageDecoderVersion],
    title: `as ${height}x${width} ${channels === 1 ? "grey" : "RGB"} images (${resize})`,
    decode: (bytes, where) => decodeImage(bytes as Uint8Array, where, imageSize, resize),
    close: () => Promise.resolve(),
  };
}

function audioRecording({ clipMs, features }: RecordingOptions): Recording {
  checkAudioFeatures(features);
  const { sampleRate } = features;
  const clipSamples = Math.round((clipMs * sampleRate) / 1000);
  const decoder = openClipDecoder(sampleRate);
  return {
    dtype: "int16",
    shape: featureShape(features, clipSamples),
    clipSamples,
    recipe: ["audio", sampleRate, clipSamples],
    title: `as clips of ${clipMs} ms at ${sampleRate} Hz`,
    decode: (bytes, where) => decoder.clip(bytes as Uint8Array, where, clipSamples),
    close: () => decoder.close(),
  };
}

function arrayRecording({ array, title }: SampleSource): Recording {
  if (!array) throw new SheafError("internal", `${title} is a listing of arrays without their shape.`);
  const { dtype, shape } = array;
  const decode = (values: Uint8Array | Float32Array, where: string): Uint8Array | Float32Array => {
    if (values.length !== sampleSize(shape) || values instanceof Float32Array !== (dtype === "float32")) {
      const got = `${values.length} values of ${values instanceof Float32Array ? "float32" : "uint8"}`;
      throw new SheafError("data", `${where}: expected ${sampleSize(shape)} values of ${dtype}, got ${got}.`);
    }
    const wrong = values instanceof Float32Array ? values.findIndex((value) => !Number.isFinite(value)) : -1;
    if (wrong >= 0) throw new SheafError("data", `${where}: expected finite numbers, got ${values[wrong]} at place ${wrong}.`);
    return values;
  };
  return {
    dtype,
    shape,
    clipSamples: 0,
    recipe: ["array", dtype, shape.channels, shape.height, shape.width],
    title: `as [${shape.channels}, ${shape.height}, ${shape.width}] ${dtype} arrays`,
    decode: async (values, where) => decode(values, where),
    close: () => Promise.resolve(),
  };
}

/** What becomes of each kind of source. Throws `config` for features or clips that make no sense. */
export const recordings: { readonly [K in SampleSource["kind"]]: (options: RecordingOptions, source: SampleSource) => Recording } = {
  image: imageRecording,
  audio: audioRecording,
  array: (_, source) => arrayRecording(source),
};
