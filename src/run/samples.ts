/** Counts samples per class in lists of indices. */
export function classCountsOf(labels: Uint16Array, classCount: number, ...parts: readonly Uint32Array[]): number[] {
  const counts = Array.from({ length: classCount }, () => 0);
  for (const part of parts) {
    for (const i of part) {
      const label = labels[i] as number;
      counts[label] = (counts[label] as number) + 1;
    }
  }
  return counts;
}
