/** From labels as they stand in a file (names or numbers) to class names and indices; shared by every kind whose labels are not folder names. */
import { SheafError } from "../../util/errors.ts";
import type { Split } from "./source.ts";

/** Indices into `classNames`, one for each sample. */
export interface NamedLabels {
  readonly classNames: readonly string[];
  readonly labels: Uint16Array;
}

/** Where labels come from, for error messages. */
export interface LabelContext {
  /** The data set: "CSV list photos.csv". */
  readonly title: string;
  /** One sample: "photos.csv line 7". */
  readonly where: (index: number) => string;
}

const splitNames: Readonly<Record<string, Split>> = {
  train: "train",
  test: "test",
  val: "validation",
  valid: "validation",
  validation: "validation",
};

/** The folder or file names of the parts, for messages. */
export const splitWords = "train, test, and val, valid or validation";

/** The part that a name stands for, in any case; undefined when it is no name of a part. */
export function splitOf(name: string): Split | undefined {
  const key = name.toLowerCase();
  return Object.hasOwn(splitNames, key) ? splitNames[key] : undefined;
}

/** Throws `data` unless there is something to tell apart, and no more classes than a label can name. */
export function requireClasses(title: string, classNames: readonly string[]): void {
  if (classNames.length < 2) {
    const got = classNames[0] === undefined ? "none" : `only "${classNames[0]}"`;
    throw new SheafError("data", `The ${title} must have samples of two classes or more, got ${got}; add another class.`);
  }
  if (classNames.length > 65535) {
    throw new SheafError(
      "data",
      `The ${title} has ${classNames.length} different labels; expected at most 65535 classes; check that the labels are classes.`,
    );
  }
}

/** Throws `data` when the data name parts, but none of them is the training part. */
export function requireTraining(title: string, splits: Iterable<Split | undefined>): void {
  const found = new Set(splits);
  if (found.size > 0 && !found.has(undefined) && !found.has("train")) {
    throw new SheafError("data", `The ${title} has only a part ${[...found].join(" and ")}; expected a part train; add it.`);
  }
}

/** Longer ones are identifiers: as numbers they would lose digits, and two of them could become one. */
const wholeNumber = /^\d{1,15}$/;

/** The number of a label, or undefined when it is a name. */
function numberOf(label: string | number): number | undefined {
  if (typeof label === "number") return label;
  return wholeNumber.test(label) ? Number(label) : undefined;
}

/** Class names in their order and the index of each distinct label. */
function classesOf(
  distinct: readonly (string | number)[],
  names: readonly string[] | undefined,
  refuse: (label: string | number, expected: string) => never,
): { readonly classNames: string[]; readonly classOf: Map<string | number, number> } {
  const numeric = distinct.every((label) => numberOf(label) !== undefined);
  // Names beside labels that are names fix their order; beside numbers they are looked up.
  const byName = names !== undefined && (!numeric || distinct.every((label) => typeof label === "string" && names.includes(label)));
  const rank = (label: string | number): number => {
    if (byName) {
      const index = names.indexOf(String(label));
      return index >= 0 ? index : refuse(label, `one of the ${names.length} class names`);
    }
    if (!numeric) return 0; // by code units alone
    const number = numberOf(label) ?? -1;
    if (!Number.isInteger(number) || number < 0) return refuse(label, "a whole number, 0 or more");
    if (names && number >= names.length) return refuse(label, `a number below ${names.length}, as many as there are class names`);
    return number;
  };
  const ranked = distinct.map((label) => ({ label, rank: rank(label) }));
  ranked.sort((a, b) => a.rank - b.rank || (String(a.label) < String(b.label) ? -1 : 1));
  const classNames: string[] = [];
  const classOf = new Map<string | number, number>();
  ranked.forEach(({ label, rank }, i) => {
    const isSame = numeric && !byName && i > 0 && ranked[i - 1]?.rank === rank; // "7" and "07"
    if (!isSame) classNames.push(names?.[rank] ?? (numeric ? String(rank) : String(label)));
    classOf.set(label, classNames.length - 1);
  });
  return { classNames, classOf };
}

/**
 * Class names and indices for labels. With `names`, a label is one of them or its number, and names that no sample has are left out.
 * Without, whole numbers are ordered by size and names by code units; the names of numbered classes are the numbers.
 * Throws `data`, naming the sample, for a label out of range, and when there are fewer than two classes.
 */
export function nameLabels(
  values: ArrayLike<string | number>,
  { title, where }: LabelContext,
  names?: readonly string[] | undefined,
): NamedLabels {
  const firstOf = new Map<string | number, number>();
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as string | number;
    if (!firstOf.has(value)) firstOf.set(value, i);
  }
  const { classNames, classOf } = classesOf([...firstOf.keys()], names, (label, expected) => {
    throw new SheafError("data", `${where(firstOf.get(label) ?? 0)}: expected as label ${expected}, got ${label}; correct the label.`);
  });
  requireClasses(title, classNames);
  const labels = Uint16Array.from({ length: values.length }, (_, i) => classOf.get(values[i] as string | number) ?? 0);
  return { classNames, labels };
}
