/**
 * Seeded random numbers. Every use derives its own stream from the run's seed and a path of labels, so that the numbers a
 * device sees depend on nothing but its own place: not on workers, order or resumption.
 */
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { RandomGenerator } from "pure-rand/types/RandomGenerator";

export interface Random {
  /** Uniform 32-bit integer, signed. */
  int32(): number;
  /** Uniform in [0, 1). */
  uniform(): number;
  /** Uniform integer in [0, limit). */
  below(limit: number): number;
  /** Standard normal (Box and Muller 1958, one of the pair). */
  normal(): number;
}

/** 32-bit FNV-1a over the labels, mixed with the seed; enough to tell streams apart, not for security. */
function streamSeed(seed: number, labels: readonly (string | number)[]): number {
  let hash = 0x811c9dc5;
  for (const char of `${seed}/${labels.join("/")}`) {
    hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  }
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** The stream of `seed` and `labels`; equal arguments give equal streams. */
export function random(seed: number, ...labels: readonly (string | number)[]): Random {
  const generator: RandomGenerator = xoroshiro128plus(streamSeed(seed, labels));
  const int32 = (): number => generator.next();
  const uniform = (): number => (generator.next() >>> 0) / 2 ** 32;
  return {
    int32,
    uniform,
    below: (limit) => Math.floor(uniform() * limit),
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
  };
}

/** Shuffles in place (Fisher and Yates) and returns the array. */
export function shuffle<T extends { readonly length: number; [index: number]: unknown }>(array: T, source: Random): T {
  for (let i = array.length - 1; i > 0; i--) {
    const j = source.below(i + 1);
    const swap = array[i];
    array[i] = array[j];
    array[j] = swap;
  }
  return array;
}
