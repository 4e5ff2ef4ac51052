/** Keeps the few blocks of a file that were read last, so that neighbouring samples cost one read together. */

/**
 * A reader of blocks by number that keeps the `keep` blocks asked for last. Blocks under way are shared by those who ask for them;
 * one that failed is forgotten, so that it is tried again.
 */
export function recentBlocks<T>(keep: number, load: (block: number) => Promise<T>): (block: number) => Promise<T> {
  const recent = new Map<number, Promise<T>>();
  return (block) => {
    const known = recent.get(block);
    const promise = known ?? load(block);
    // A Map keeps the order of insertion: the first key is the one used longest ago.
    recent.delete(block);
    recent.set(block, promise);
    for (const oldest of recent.keys()) {
      if (recent.size <= keep) break;
      recent.delete(oldest);
    }
    if (!known) promise.catch(() => recent.get(block) === promise && recent.delete(block));
    return promise;
  };
}
