/** One file through a model: an image, or a clip of any length. */
import { readImage } from "../data/images.node.ts";
import { openResampler } from "../data/resample.ts";
import { decodeWav } from "../data/wav.ts";
import { type ClassProbability, rankClasses, stretchesOf } from "../harvest/deployedModel.ts";
import { SheafError } from "../util/errors.ts";
import { readFileChecked } from "../util/files.node.ts";
import { floats } from "../util/tensor.ts";
import type { ModelFile } from "./modelFile.ts";

export interface Prediction {
  readonly file: string;
  /** The likeliest class. */
  readonly class: string;
  /** The likeliest classes, likeliest first. */
  readonly classes: readonly ClassProbability[];
  /** Of a clip longer than the model hears at once: where the stretch begins that it is surest of. */
  readonly startMs?: number;
}

async function readWave(file: string, sampleRate: number): Promise<Float32Array> {
  const wave = decodeWav(await readFileChecked(file, "clip"), file);
  const resampler = await openResampler(wave.sampleRate, sampleRate);
  try {
    return resampler.resample(wave.samples);
  } finally {
    resampler.close();
  }
}

/**
 * Classifies one file: an image for a model of images, a WAV file for a model of audio; of a long clip, the stretch that the model is surest of.
 * Throws `data`, naming the path, for a file that is missing, damaged or of the wrong kind.
 */
export async function predictFile(model: ModelFile, file: string, top: number): Promise<Prediction> {
  const { input, session, classNames } = model;
  if (input.type === "image") {
    if (/\.wav$/i.test(file))
      throw new SheafError("data", `${file} is a sound, but ${model.path} takes images; give it PNG, JPEG or WebP files.`);
    const { channels, height, width } = input.shape;
    const { probabilities } = await session.run({
      image: floats("float32", [1, channels, height, width], await readImage(file, input.shape, model.resize)),
    });
    const classes = rankClasses(probabilities?.data as Float32Array, classNames, top);
    return { file, class: classes[0]?.class ?? "", classes };
  }
  const { samples, sampleRate } = input;
  const { starts, values } = stretchesOf(await readWave(file, sampleRate), samples);
  const { probabilities } = await session.run({ audio: floats("float32", [starts.length, samples], values) });
  const all = probabilities?.data as Float32Array;
  const rows = starts.map((start, i) => ({
    start,
    classes: rankClasses(all.subarray(i * classNames.length, (i + 1) * classNames.length), classNames, top),
  }));
  const surest = rows.reduce((best, row) => ((row.classes[0]?.probability ?? 0) > (best.classes[0]?.probability ?? 0) ? row : best));
  const { classes, start } = surest;
  return { file, class: classes[0]?.class ?? "", classes, ...(starts.length > 1 && { startMs: Math.round((1000 * start) / sampleRate) }) };
}
