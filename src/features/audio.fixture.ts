/** Sounds for tests: the generated signal of test/reference/audioFeatures.py, and clips of Speech Commands where $SHEAF_DATA has them. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeSafetensors, type Safetensors } from "../util/safetensors.ts";
import type { AudioFeatures } from "./features.ts";

/** One second at 16 kHz: a chirp from 50 to 3650 Hz with noise. */
export function generatedSignal(): Float32Array {
  let s = 1;
  return Float32Array.from({ length: 16_000 }, (_, n) => {
    // Exact: the product stays below 2^53.
    s = (1664525 * s + 1013904223) % 2 ** 32;
    const t = n / 16_000;
    return 0.4 * Math.sin(2 * Math.PI * (50 * t + 1800 * t * t)) + 0.1 * (s / 2 ** 31 - 1);
  });
}

/** Values by torchaudio, with the settings that they belong to; test/reference/audioFeatures.py makes the file. */
export interface Reference extends Safetensors {
  readonly settings: Readonly<Record<string, Omit<AudioFeatures, "type" | "logOffset">>>;
}

export function readReference(): Reference {
  const url = new URL("../../test/reference/audioFeatures.safetensors", import.meta.url);
  const file = decodeSafetensors(readFileSync(url), "audioFeatures.safetensors");
  return { ...file, settings: JSON.parse(file.metadata.settings ?? "") };
}

/** The folder of Speech Commands under $SHEAF_DATA; undefined when it is not there. */
export function speechFolder(): string | undefined {
  const folder = join(process.env.SHEAF_DATA ?? "", "speech_commands");
  return process.env.SHEAF_DATA && existsSync(folder) ? folder : undefined;
}

/** One second of a WAV file as the clips of Speech Commands are: a header of 44 bytes, then 16-bit mono at 16 kHz; zeros after its end. */
export function readClip(path: string): Float32Array {
  const bytes = readFileSync(path);
  const wave = new Float32Array(16_000);
  for (let i = 0; i < wave.length && 44 + 2 * i + 1 < bytes.length; i++) wave[i] = bytes.readInt16LE(44 + 2 * i) / 32_768;
  return wave;
}

/** The first clips of each word. */
export function realClips(folder: string, perWord: number): Float32Array[] {
  const words = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory() && !entry.name.startsWith("_"));
  return words.flatMap(({ name }) => {
    const files = readdirSync(join(folder, name)).filter((file) => file.endsWith(".wav"));
    return files
      .sort()
      .slice(0, perWord)
      .map((file) => readClip(join(folder, name, file)));
  });
}

/** Largest difference between two lists of numbers. */
export function worstDifference(a: ArrayLike<number | bigint>, b: ArrayLike<number | bigint>): number {
  if (a.length !== b.length) throw new Error(`${a.length} values against ${b.length}`);
  return Array.from(a).reduce<number>((worst, v, i) => Math.max(worst, Math.abs(Number(v) - Number(b[i]))), 0);
}
