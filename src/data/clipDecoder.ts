/** Encoded audio to stored clips: WAV bytes in, 16-bit samples of one rate and length out. */

import { SheafError } from "../util/errors.ts";
import { openResampler, type Resampler } from "./resample.ts";
import { decodeWav, fitLength, toInt16 } from "./wav.ts";

/** Decodes recordings of any rate to one rate. Keeps a converter for each rate that it met. */
export interface ClipDecoder {
  /** The first `clipSamples` samples of a WAV file at the decoder's rate, padded with zeros at the end. `where` names it in errors. Throws `data`. */
  clip(bytes: Uint8Array, where: string, clipSamples: number): Promise<Int16Array>;
  /** All of a WAV file, as long as it is. */
  whole(bytes: Uint8Array, where: string): Promise<Int16Array>;
  /** Frees the converters; closing twice is fine. */
  close(): Promise<void>;
}

/** Decoded beyond the clip's end, so that the rate converter has both sides of the last sample. */
const marginSeconds = 0.1;

/**
 * Opens a decoder to waves at `sampleRate` Hz.
 * @example const decoder = openClipDecoder(16000); const clip = await decoder.clip(bytes, "yes.wav", 16000); await decoder.close();
 */
export function openClipDecoder(sampleRate: number): ClipDecoder {
  const resamplers = new Map<number, Promise<Resampler>>();
  const decode = async (bytes: Uint8Array, where: string, seconds: number): Promise<Int16Array> => {
    const wave = decodeWav(bytes, where, seconds);
    if (wave.sampleRate === sampleRate) return toInt16(wave.samples);
    if (wave.sampleRate < 1000 || wave.sampleRate > 192_000) {
      throw new SheafError("data", `${where}: expected a sample rate from 1000 to 192000 Hz, got ${wave.sampleRate}; convert it.`);
    }
    const resampler = resamplers.get(wave.sampleRate) ?? openResampler(wave.sampleRate, sampleRate);
    resamplers.set(wave.sampleRate, resampler);
    return toInt16((await resampler).resample(wave.samples));
  };
  return {
    clip: async (bytes, where, clipSamples) => fitLength(await decode(bytes, where, clipSamples / sampleRate + marginSeconds), clipSamples),
    whole: (bytes, where) => decode(bytes, where, Number.POSITIVE_INFINITY),
    async close() {
      const open = [...resamplers.values()];
      resamplers.clear();
      for (const resampler of await Promise.all(open)) resampler.close();
    },
  };
}
