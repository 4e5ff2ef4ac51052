/** Which samples each device runs the statistics pass on. */

/**
 * The samples that each device runs the statistics pass on: those of its own that it is to sum; and of the class that nobody owns, whose samples are in
 * backgrounds alone, its part of those. Without them no head could learn that class. Each counts as often as a sample of another class does on the mean,
 * as far as it is held.
 */
export function statisticsSamples(
  labels: Uint16Array,
  parts: readonly { readonly summed: Uint32Array; readonly background: Uint32Array }[],
  otherClass: number | undefined,
): readonly Uint32Array[] {
  if (otherClass === undefined) return parts.map(({ summed }) => summed);
  const owned = parts.flatMap(({ summed }) => [...summed]);
  const copies = Math.max(1, Math.round(owned.length / new Set(owned).size));
  const holders = new Map<number, number[]>();
  for (const [device, { background }] of parts.entries()) {
    for (const i of background) if (labels[i] === otherClass) holders.set(i, [...(holders.get(i) ?? []), device]);
  }
  const more: number[][] = parts.map(() => []);
  // Holders take turns, starting from another one for each sample.
  for (const [turn, [i, devices]] of [...holders].sort(([a], [b]) => a - b).entries()) {
    for (let copy = 0; copy < Math.min(copies, devices.length); copy++) more[devices[(turn + copy) % devices.length] as number]?.push(i);
  }
  return parts.map(({ summed }, device) => Uint32Array.from([...summed, ...(more[device] ?? [])]).sort());
}
