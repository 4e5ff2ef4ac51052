/** Which samples of an own data set are for training, validation and test. */
import { SheafError } from "../util/errors.ts";
import { drawStratified, samplesByClass } from "./dataset.ts";

/** Part that a data set's own lists or folders name for a sample; undefined when they name none. */
export type NamedPart = "train" | "validation" | "test" | undefined;

/** Numbers of the samples of each part, ascending; together all samples, none twice. */
export interface Parts {
  readonly train: Uint32Array;
  readonly validation: Uint32Array;
  readonly test: Uint32Array;
  /** Whether the test part was drawn, for want of a named one. */
  readonly isDrawn: boolean;
}

/**
 * Samples stay in the part that is named for them, and in training when none is. Without any sample named for test, `testShare` of the samples
 * that would be for training is drawn for it, by seed and with the proportions of the classes. Throws `config` when a part that is needed has no sample.
 * @example const { train, test } = partsOf(labels, 10, names, { testShare: 0.2, seed: 1 });
 */
export function partsOf(
  labels: Uint16Array,
  classCount: number,
  names: readonly NamedPart[],
  { testShare, seed }: { readonly testShare: number; readonly seed: number },
): Parts {
  const numbers = [...labels.keys()];
  const named = (part: NamedPart): number[] => numbers.filter((i) => (names[i] ?? "train") === part);
  const validation = Uint32Array.from(named("validation"));
  const official = named("test");
  const rest = named("train");
  if (official.length > 0) {
    if (rest.length === 0)
      throw new SheafError("config", `All ${labels.length} samples are named for validation or test; expected some for training.`);
    return { train: Uint32Array.from(rest), validation, test: Uint32Array.from(official), isDrawn: false };
  }
  const count = Math.round(rest.length * testShare);
  if (!(testShare > 0 && testShare < 1) || count < 1 || count >= rest.length) {
    throw new SheafError(
      "config",
      `data.testShare must lie between 0 and 1 and leave samples for training and for test; ${testShare} of ${rest.length} samples does not.`,
    );
  }
  const groups = samplesByClass(
    labels.filter((_, i) => (names[i] ?? "train") === "train"),
    classCount,
  );
  const isTest = new Uint8Array(rest.length);
  for (const index of drawStratified(groups, count, seed, "test")) isTest[index] = 1;
  return {
    train: Uint32Array.from(rest.filter((_, i) => isTest[i] === 0)),
    validation,
    test: Uint32Array.from(rest.filter((_, i) => isTest[i] === 1)),
    isDrawn: true,
  };
}
