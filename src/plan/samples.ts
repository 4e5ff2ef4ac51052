/** How many samples each device of a plan has: the counts that the `byClass` partition gives for the same task sets. */
import { partStart } from "../data/partition/devices.ts";

export interface SampleCounts {
  readonly own: number;
  readonly background: number;
}

/**
 * Sample counts by device. A class of several owners is split among them, or shared: each has all of it.
 * Background is the share `rho` of all samples of classes that the device does not own, of those counted in `backgroundCounts`.
 * Where `held` says what a device holds, it has these samples and no others; at least one, since classes that it does not hold are taken from it later.
 */
export function countSamples(
  taskSets: readonly (readonly number[])[],
  classCounts: readonly number[],
  overlap: "split" | "share",
  rho: number,
  backgroundCounts?: readonly number[],
  held: readonly (readonly number[] | undefined)[] = [],
): readonly SampleCounts[] {
  const sumOf = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);
  const total = sumOf(backgroundCounts ?? classCounts);
  const owners = classCounts.map((_, classId) => taskSets.flatMap((set, device) => (set.includes(classId) ? [device] : [])));
  return taskSets.map((set, device) => {
    const mine = held[device];
    const others = backgroundCounts ?? mine ?? classCounts;
    let own = 0;
    let owned = 0;
    for (const classId of set) {
      const count = (mine ?? classCounts)[classId] ?? 0;
      owned += others[classId] ?? 0;
      own += overlap === "share" || mine ? count : splitPart(count, classId, owners[classId] ?? [], device);
    }
    const all = others === mine ? sumOf(mine) : total;
    return { own: mine ? Math.max(1, own) : own, background: Math.round(rho * (all - owned)) };
  });
}

/** One owner's part of a split class; which owner gets the odd sample turns with the class, as in the partition. */
function splitPart(count: number, classId: number, owners: readonly number[], device: number): number {
  const parts = owners.length;
  const part = (((owners.indexOf(device) - classId) % parts) + parts) % parts;
  return partStart(part + 1, parts, count) - partStart(part, parts, count);
}
