/** A device's own data as a run sees them: in the run's classes, and summed up for the plan. The samples themselves stay where they are. */
import { classCountsOf } from "../data/background.ts";
import { type Dataset, sharedLabels, takeSamples } from "../data/dataset.ts";
import type { InvitedRun } from "../protocol/invitation.ts";
import type { DataSummary } from "../protocol/messages.ts";
import { sha256 } from "../train/fingerprint.ts";
import { SheafError } from "../util/errors.ts";
import { canonicalJson } from "../util/json.ts";

const sameNames = (a: readonly string[], b: readonly string[]): boolean => a.length === b.length && a.every((name, i) => name === b[i]);

/**
 * `data` with the class ids of a run, whose classes may be more, fewer or in another order; samples of classes that the run does not know are left out.
 * Throws `data` when no class is known to both.
 */
export function inClassesOf(data: Dataset, classNames: readonly string[], otherClass?: number): Dataset {
  const { otherClass: _, ...rest } = data;
  const other = otherClass === undefined ? {} : { otherClass };
  if (sameNames(data.classNames, classNames)) return { ...rest, ...other };
  const idOf = data.classNames.map((name) => classNames.indexOf(name));
  const known = Uint32Array.from(data.labels.keys()).filter((i) => (idOf[data.labels[i] as number] ?? -1) >= 0);
  if (known.length === 0) {
    throw new SheafError(
      "data",
      `${data.name} has no sample of the run's classes ${some(classNames)}; its own are ${some(data.classNames)}: join with data that have some of them.`,
    );
  }
  const { coarse: __, ...taken } = takeSamples(rest, known, "in the classes of a run");
  const labels = sharedLabels(known.length);
  known.forEach((i, n) => {
    labels[n] = idOf[data.labels[i] as number] as number;
  });
  return { ...taken, classNames, labels, ...other };
}

const some = (names: readonly string[]): string => (names.length > 8 ? `${names.slice(0, 8).join(", ")} ...` : names.join(", "));

/** Why no run can use a device's samples; undefined where one can, or where there is none. */
export function whyUnwanted(
  runs: readonly Pick<InvitedRun, "name" | "classNames" | "sampleShape">[],
  { classNames, sampleShape, counts, present }: DataSummary,
): string | undefined {
  const shapeOf = ({ channels, height, width }: DataSummary["sampleShape"]): string => `${channels}x${height}x${width}`;
  const held = classNames.filter((_, i) => (counts ? (counts[i] ?? 0) > 0 : present?.[i]));
  const [first] = runs;
  const fits = (run: (typeof runs)[number]): boolean =>
    shapeOf(run.sampleShape) === shapeOf(sampleShape) && run.classNames.some((name) => held.includes(name));
  if (!first || runs.some(fits)) return undefined;
  return `No run here can use these samples: run "${first.name}" is of ${some(first.classNames)} (${shapeOf(first.sampleShape)}), these are of ${some(held)} (${shapeOf(sampleShape)}); join with others, or wait for a run that can.`;
}

/** What a device says of its data: counts by class, or with `privateCounts` only which classes there are. */
export async function summarizeData(data: Dataset, privateCounts: boolean): Promise<DataSummary> {
  const { classNames, shape, labels, records, provenance, audio } = data;
  const counts = classCountsOf(labels, classNames.length, Uint32Array.from(labels.keys()));
  const bytes = (values: Uint16Array | Uint32Array): Uint8Array => new Uint8Array(values.slice().buffer);
  const content = {
    sha256: provenance.sha256,
    classNames,
    shape,
    labels: await sha256(bytes(labels)),
    records: records && (await sha256(bytes(records))),
    features: audio?.features,
  };
  const { channels, height, width } = shape;
  return {
    classNames: [...classNames],
    ...(privateCounts ? { present: counts.map((count) => count > 0) } : { counts }),
    sampleShape: { channels, height, width },
    fingerprint: await sha256(canonicalJson(content)),
  };
}
