/** The rule that every log checks before it appends. */
import { SheafError } from "../util/errors.ts";
import type { Sequenced } from "./store.ts";

/** Throws `internal` unless the sequences of `entries` go on from `expectedLast` without a gap. */
export function checkSequences(expectedLast: number, entries: readonly Sequenced[]): void {
  entries.forEach(({ sequence }, i) => {
    if (sequence === expectedLast + 1 + i) return;
    throw new SheafError(
      "internal",
      `Entry ${i} of an append after sequence ${expectedLast} must have sequence ${expectedLast + 1 + i}, got ${sequence}.`,
    );
  });
}
