/** What is to happen when, in virtual time: a binary heap ordered by time and, at the same time, by the order in which it was asked for. */

interface Entry<T> {
  readonly atMs: number;
  readonly sequence: number;
  readonly item: T;
}

export interface EventQueue<T> {
  readonly size: number;
  /** Asks for `item` at a time. */
  push(atMs: number, item: T): void;
  /** Takes the next out; undefined when nothing is left. */
  pop(): { readonly atMs: number; readonly item: T } | undefined;
}

const isBefore = <T>(a: Entry<T>, b: Entry<T>): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);

/** An empty queue. */
export function openEventQueue<T>(): EventQueue<T> {
  const heap: Entry<T>[] = [];
  let sequence = 0;

  const rise = (from: number, entry: Entry<T>): void => {
    let i = from;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent] as Entry<T>;
      if (!isBefore(entry, above)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = entry;
  };
  const sink = (entry: Entry<T>): void => {
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Entry<T>, heap[child] as Entry<T>)) child++;
      if (!isBefore(heap[child] as Entry<T>, entry)) break;
      heap[i] = heap[child] as Entry<T>;
      i = child;
    }
    heap[i] = entry;
  };

  return {
    get size() {
      return heap.length;
    },
    push(atMs, item) {
      const entry = { atMs, sequence: sequence++, item };
      heap.push(entry);
      rise(heap.length - 1, entry);
    },
    pop() {
      const first = heap[0];
      const last = heap.pop();
      if (!first || !last) return undefined;
      if (heap.length > 0) sink(last);
      return first;
    },
  };
}
