/** What a microphone hears, as the model wants it: the last stretch of the sound, and words as they are recognised. */

/** Keeps the last `length` values that were heard. */
export interface LastStretch {
  push(block: Float32Array): void;
  /** The last `length` values in order; zeros before the first. */
  read(): Float32Array<ArrayBuffer>;
}

export function openLastStretch(length: number): LastStretch {
  const ring = new Float32Array(length);
  let next = 0;
  return {
    push(block) {
      // Of a block that is longer than all that is kept, its end.
      for (const value of block.length > length ? block.subarray(block.length - length) : block) {
        ring[next] = value;
        next = (next + 1) % length;
      }
    },
    read() {
      const stretch = new Float32Array(length);
      stretch.set(ring.subarray(next));
      stretch.set(ring.subarray(0, next), length - next);
      return stretch;
    },
  };
}

/** A word that was heard. */
export interface Heard {
  readonly word: string;
  readonly probability: number;
  /** By the clock that `hear` is given. */
  readonly at: number;
}

export interface WordDetector {
  /** Takes the classes' probabilities of one stretch; gives the word when one begins to be heard. */
  hear(classes: readonly { readonly class: string; readonly probability: number }[], at: number): Heard | undefined;
}

/** Classes that are no words. */
const noWords = new Set(["silence", "unknown", "_silence_", "_unknown_", "other", "background", "noise", "_background_noise_"]);
/** Stretches whose probabilities are averaged: a word is in several that overlap. */
const averaged = 3;
/** From here on a word counts as heard, and below this as over. */
const heardFrom = 0.6;
const overBelow = 0.35;

/** Makes words of a stream of answers: each word once for as long as it is heard. */
export function openWordDetector(): WordDetector {
  const last: ReadonlyMap<string, number>[] = [];
  let present: string | undefined;
  return {
    hear(classes, at) {
      last.push(new Map(classes.map((each) => [each.class, each.probability])));
      if (last.length > averaged) last.shift();
      const mean = (name: string): number => last.reduce((sum, each) => sum + (each.get(name) ?? 0), 0) / averaged;
      if (present !== undefined && mean(present) < overBelow) present = undefined;
      const [best] = classes.map(({ class: word }) => ({ word, probability: mean(word) })).sort((a, b) => b.probability - a.probability);
      if (!best || best.probability < heardFrom || best.word === present || noWords.has(best.word)) return undefined;
      present = best.word;
      return { ...best, at };
    },
  };
}
