/** What there is of places in a run, in numbers: enough to find a newcomer its classes without looking through all of them. */
import type { Slot } from "./events.ts";

export interface Places {
  readonly count: number;
  /** Places by class that they answer for. */
  readonly owners: readonly number[];
  /** Places by number of classes. */
  readonly sizes: readonly number[];
}

/** None yet. */
export function noPlaces(classCount: number): Places {
  return { count: 0, owners: Array<number>(classCount).fill(0), sizes: Array<number>(classCount + 1).fill(0) };
}

/** With more places. */
export function withPlaces(places: Places, slots: readonly Slot[]): Places {
  const [owners, sizes] = [[...places.owners], [...places.sizes]];
  for (const { taskSet } of slots) {
    for (const classId of taskSet) owners[classId] = (owners[classId] ?? 0) + 1;
    sizes[taskSet.length] = (sizes[taskSet.length] ?? 0) + 1;
  }
  return { count: places.count + slots.length, owners, sizes };
}

/** How many classes the middle one of all places has; 1 where there is none. */
export function usualSize({ count, sizes }: Places): number {
  let before = 0;
  for (const [size, places] of sizes.entries()) {
    before += places;
    if (before > Math.floor(count / 2)) return size;
  }
  return 1;
}
