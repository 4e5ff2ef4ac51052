/** Background noise made by code, for sets that bring none. */
import type { Random } from "../util/random.ts";

/** Samples of one colour before the next begins: 5 s at 16 kHz. */
const stretchSamples = 80_000;

type Colour = (random: Random) => () => number;

const white: Colour = (random) => () => random.normal();

/** Sum of three slow and one fast part, each a first-order filter of its own noise: falls by about 3 dB an octave. */
const pink: Colour = (random) => {
  const poles = [0.997, 0.963, 0.57];
  const state = [0, 0, 0];
  return () => {
    let sum = 0.2 * random.normal();
    for (let i = 0; i < poles.length; i++) {
      const pole = poles[i]!;
      state[i] = pole * state[i]! + Math.sqrt(1 - pole * pole) * random.normal();
      sum += 0.57 * state[i]!;
    }
    return sum;
  };
};

/** Falls by 6 dB an octave: a leaky sum of white noise. */
const brown: Colour = (random) => {
  let state = 0;
  return () => {
    state = 0.99 * state + Math.sqrt(1 - 0.99 ** 2) * random.normal();
    return state;
  };
};

const colours = [white, pink, brown];

/**
 * `length` 16-bit samples of noise: stretches of white, pink and brown noise in a drawn order, each of a drawn loudness
 * (root mean square 0.02 to 0.2 of full scale). Depends on `random` alone.
 */
export function generateNoise(length: number, random: Random): Int16Array {
  const noise = new Int16Array(length);
  for (let start = 0; start < length; start += stretchSamples) {
    const next = colours[random.below(colours.length)]!(random);
    const scale = 32768 * 0.02 * 10 ** random.uniform();
    const end = Math.min(length, start + stretchSamples);
    for (let i = start; i < end; i++) noise[i] = Math.max(-32768, Math.min(32767, Math.round(scale * next())));
  }
  return noise;
}
