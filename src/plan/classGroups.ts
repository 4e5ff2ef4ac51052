/** Superclass devices: classes that belong together go to one device together. */
import { random } from "../util/random.ts";

interface Group {
  readonly classes: readonly number[];
  /** Owners that it is to have. */
  readonly owners: number;
}

/**
 * Deals whole groups of classes out to devices: each group, in an order drawn from the seed, goes to the devices with most room left that have
 * room for all of it, drawn among equals. How many devices get a group follows from the room there is: as many for each group, or one more.
 * `groupOf[c]` is the group of class c, any numbers; a class without one (undefined) is never dealt. `capacities[d]` is how many classes
 * device d takes; a device with 0 gets nothing. Returns the classes of each device, group after group; as preferences of devices these make task
 * sets of whole groups wherever the capacities are sums of groups' sizes.
 * @example groupPreferences([0, 0, 1, 1], [2, 2], 1) // [[2, 3], [0, 1]] or [[0, 1], [2, 3]]
 */
export function groupPreferences(
  groupOf: readonly (number | undefined)[],
  capacities: readonly number[],
  seed: number,
): readonly (readonly number[])[] {
  const source = random(seed, "plan", "classGroups");
  const room = [...capacities];
  const dealt: number[][] = capacities.map(() => []);
  for (const { classes, owners } of groupsOf(groupOf, capacities, source.uniform)) {
    const fitting = room
      .map((left, device) => ({ left, device, draw: source.uniform() }))
      .filter(({ left }) => left >= classes.length)
      .sort((a, b) => b.left - a.left || a.draw - b.draw)
      .slice(0, owners);
    for (const { device } of fitting) {
      dealt[device]!.push(...classes);
      room[device]! -= classes.length;
    }
  }
  return dealt;
}

/** The groups in the order in which they are dealt. Large ones come first: small ones fit into what they leave. */
function groupsOf(groupOf: readonly (number | undefined)[], capacities: readonly number[], draw: () => number): readonly Group[] {
  const members = new Map<number, number[]>();
  for (const [classId, group] of groupOf.entries()) {
    if (group !== undefined) members.set(group, [...(members.get(group) ?? []), classId]);
  }
  const total = [...members.values()].reduce((sum, classes) => sum + classes.length, 0);
  const places = capacities.reduce((sum, capacity) => sum + Math.min(capacity, total), 0);
  const order = [...members.values()]
    .map((classes) => ({ classes, draw: draw() }))
    .sort((a, b) => b.classes.length - a.classes.length || a.draw - b.draw);
  const owners = Math.floor(places / Math.max(1, total));
  let spare = places - owners * total;
  return order.map(({ classes }) => {
    const extra = spare >= classes.length;
    if (extra) spare -= classes.length;
    return { classes, owners: owners + (extra ? 1 : 0) };
  });
}

/** The size of all groups, where they are of one size. */
export function commonGroupSize(groupOf: readonly (number | undefined)[]): number | undefined {
  const sizes = new Map<number, number>();
  for (const group of groupOf) if (group !== undefined) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  const [size, ...others] = new Set(sizes.values());
  return others.length === 0 ? size : undefined;
}
