import { afterAll, beforeAll, expect, test } from "vitest";
import { type ClipDecoder, openClipDecoder } from "./clipDecoder.ts";
import { encodeWav } from "./wav.ts";

let decoder: ClipDecoder;
beforeAll(() => {
  decoder = openClipDecoder(16000);
});
afterAll(() => decoder.close());

const sine = (rate: number, seconds: number): Int16Array =>
  Int16Array.from({ length: Math.round(rate * seconds) }, (_, i) => 10_000 * Math.sin((2 * Math.PI * 440 * i) / rate));

test("clips at the decoder's rate are taken as they are, padded or cut", async () => {
  const samples = sine(16000, 0.5);
  const padded = await decoder.clip(encodeWav(samples, 16000), "a.wav", 16000);
  expect([...padded.subarray(0, 8000)]).toEqual([...samples]);
  expect(padded.subarray(8000).every((value) => value === 0)).toBe(true);
  expect(await decoder.clip(encodeWav(samples, 16000), "a.wav", 100)).toEqual(samples.subarray(0, 100));
});

test.each([8000, 44100, 48000])("a clip at %i Hz is the same sound, and a cut one the start of the whole", async (rate) => {
  const bytes = encodeWav(sine(rate, 3), rate);
  const clip = await decoder.clip(bytes, "a.wav", 16000);
  const ideal = sine(16000, 1);
  // At the very start there is no sound before for the converter to see.
  for (let i = 800; i < clip.length; i++) expect(Math.abs(clip[i]! - ideal[i]!)).toBeLessThan(5);
  const whole = await decoder.whole(bytes, "a.wav");
  expect(whole).toHaveLength(48000);
  expect(clip).toEqual(whole.subarray(0, 16000));
});

test("refuses what is no sound at a usual rate, by its path", async () => {
  await expect(decoder.clip(encodeWav(sine(8000, 0.1), 500), "slow.wav", 100)).rejects.toThrow(
    /slow\.wav: expected a sample rate from 1000 to 192000 Hz, got 500/,
  );
  await expect(decoder.clip(new Uint8Array(5), "cut.wav", 100)).rejects.toThrow(/cut\.wav is no WAV file/);
});
