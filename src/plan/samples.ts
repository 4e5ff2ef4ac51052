/** How many samples each device of a plan has: the counts that the `byClass` partition gives for the same task sets. */
import { partStart } from "../data/partition/devices.ts";

export interface SampleCounts {
  readonly own: number;
  readonly background: number;
}

/**
 * Sample counts by device. A class of several owners is split among them, or shared: each has all of it.
 * Background is the share `rho` of all samples of classes that the device does not own, of those counted in `backgroundCounts`.
 */
export function countSamples(
  taskSets: readonly (readonly number[])[],
  classCounts: readonly number[],
  overlap: "split" | "share",
  rho: number,
  backgroundCounts: readonly number[] = classCounts,
): readonly SampleCounts[] {
  const total = backgroundCounts.reduce((sum, count) => sum + count, 0);
  const owners = classCounts.map((_, classId) => taskSets.flatMap((set, device) => (set.includes(classId) ? [device] : [])));
  return taskSets.map((set, device) => {
    let own = 0;
    let owned = 0;
    for (const classId of set) {
      const count = classCounts[classId] ?? 0;
      owned += backgroundCounts[classId] ?? 0;
      own += overlap === "share" ? count : splitPart(count, classId, owners[classId] ?? [], device);
    }
    return { own, background: Math.round(rho * (total - owned)) };
  });
}

/** One owner's part of a split class; which owner gets the odd sample turns with the class, as in the partition. */
function splitPart(count: number, classId: number, owners: readonly number[], device: number): number {
  const parts = owners.length;
  const part = (((owners.indexOf(device) - classId) % parts) + parts) % parts;
  return partStart(part + 1, parts, count) - partStart(part, parts, count);
}
