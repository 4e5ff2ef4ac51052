import { describe, expect, test } from "vitest";
import { openResampler } from "./resample.ts";

const sine = (hz: number, rate: number, seconds: number): Float32Array =>
  Float32Array.from({ length: rate * seconds }, (_, i) => 0.5 * Math.sin((2 * Math.PI * hz * i) / rate));

async function resampled(wave: Float32Array, from: number, to: number): Promise<Float32Array> {
  const resampler = await openResampler(from, to);
  try {
    return resampler.resample(wave);
  } finally {
    resampler.close();
  }
}

/** Without the ends, where the wave begins and stops at once. */
const middle = (wave: Float32Array): Float32Array => wave.subarray(1600, wave.length - 1600);
const decibels = (wave: Float32Array): number => 10 * Math.log10(wave.reduce((sum, x) => sum + x * x, 0) / wave.length / 0.125 + 1e-30);

describe("to 16 kHz", () => {
  test.each([8000, 11025, 22050, 44100, 48000])("a sine of 1 kHz at %i Hz keeps frequency, amplitude and phase", async (rate) => {
    const got = middle(await resampled(sine(1000, rate, 1), rate, 16000));
    const ideal = middle(sine(1000, 16000, 1));
    const worst = got.reduce((most, value, i) => Math.max(most, Math.abs(value - ideal[i]!)), 0);
    expect(worst).toBeLessThan(1e-4);
  });

  test.each([
    [44100, 8500],
    [44100, 15000],
    [48000, 12000],
    [48000, 23000],
    [22050, 9000],
  ])("at %i Hz a sine of %i Hz does not fold back", async (rate, hz) => {
    expect(decibels(middle(await resampled(sine(hz, rate, 1), rate, 16000)))).toBeLessThan(-60);
  });

  test.each([44100, 48000])("at %i Hz 6.5 kHz passes within 0.1 dB", async (rate) => {
    expect(Math.abs(decibels(middle(await resampled(sine(6500, rate, 1), rate, 16000))))).toBeLessThan(0.1);
  });

  test("8 kHz material has no images above 4 kHz", async () => {
    const got = middle(await resampled(sine(3000, 8000, 1), 8000, 16000));
    const ideal = middle(sine(3000, 16000, 1));
    expect(decibels(got.map((value, i) => value - ideal[i]!))).toBeLessThan(-60);
  });
});

test("the length is round(length * to / from)", async () => {
  for (const length of [1, 100, 44099, 44100, 44101]) {
    expect(await resampled(new Float32Array(length), 44100, 16000)).toHaveLength(Math.round((length * 16000) / 44100));
  }
});

test("a wave longer than a block is converted without seams", async () => {
  const seconds = 30;
  const got = middle(await resampled(sine(1000, 44100, seconds), 44100, 16000));
  const ideal = middle(sine(1000, 16000, seconds));
  expect(got.reduce((most, value, i) => Math.max(most, Math.abs(value - ideal[i]!)), 0)).toBeLessThan(1e-4);
});

test("gives the same numbers whatever was converted before", async () => {
  const resampler = await openResampler(44100, 16000);
  const wave = sine(440, 44100, 0.5);
  const first = resampler.resample(wave);
  resampler.resample(sine(3000, 44100, 0.1));
  expect(resampler.resample(wave)).toEqual(first);
  resampler.close();
  resampler.close();
  expect(await resampled(wave, 44100, 16000)).toEqual(first);
});

test("equal rates copy", async () => {
  const wave = sine(440, 16000, 0.1);
  const copy = await resampled(wave, 16000, 16000);
  expect(copy).toEqual(wave);
  expect(copy).not.toBe(wave);
});

test("refuses rates that are none", async () => {
  await expect(openResampler(0, 16000)).rejects.toThrow(/from 1000 to 192000 Hz, got 0/);
  await expect(openResampler(44100, 16000.5)).rejects.toMatchObject({ code: "config" });
});
