/**
 * Names in the order of their times, as a persistent set: a change makes a new one that shares all else with the old. Finding the oldest, adding and
 * removing take time that grows with the logarithm of the number of names, so that nobody need look through all of a large fleet.
 */
import sortedBtree from "sorted-btree";

type BTree = typeof sortedBtree.default;
/** Node gives a CommonJS module's default export one level down, bundlers where it is expected. */
const BTree: BTree = (sortedBtree as Partial<typeof sortedBtree>).default ?? (sortedBtree as unknown as BTree);

type Key = readonly [at: number, name: string];

/** Names by time, then by code units. A name may be in it at several times. */
export interface Timeline extends Iterable<Key> {
  readonly size: number;
  add(at: number, name: string): Timeline;
  /** Without that name at that time; nothing happens where it is not there. */
  remove(at: number, name: string): Timeline;
  has(at: number, name: string): boolean;
  /** As `JSON.stringify` writes it: the pairs in order. */
  toJSON(): readonly Key[];
}

const compare = ([a, nameA]: Key, [b, nameB]: Key): number => a - b || (nameA < nameB ? -1 : nameA > nameB ? 1 : 0);

function timelineOf(tree: InstanceType<typeof BTree<Key, undefined>>): Timeline {
  return {
    size: tree.size,
    add: (at, name) => timelineOf(tree.with([at, name])),
    remove: (at, name) => (tree.has([at, name]) ? timelineOf(tree.without([at, name])) : timelineOf(tree)),
    has: (at, name) => tree.has([at, name]),
    [Symbol.iterator]: () => tree.keys(),
    toJSON: () => tree.keysArray(),
  };
}

/** Nothing in it. */
export const emptyTimeline: Timeline = timelineOf(new BTree<Key, undefined>(undefined, compare));

/** Names of a timeline up to a time, oldest first. */
export function* upTo(timeline: Timeline, at: number): Generator<string> {
  for (const [time, name] of timeline) {
    if (time > at) return;
    yield name;
  }
}
