/** Latencies as counts in buckets whose bounds grow by one per cent: percentiles to that precision in little memory, and sums over processes. */

const growth = Math.log(1.01);
/** Everything shorter counts as this. */
const leastMs = 0.01;

/** A recorder of milliseconds by name. */
export function openLatencies() {
  const byName = new Map();
  return {
    record(name, milliseconds) {
      const found = byName.get(name) ?? new Map();
      byName.set(name, found);
      const bucket = Math.ceil(Math.log(Math.max(leastMs, milliseconds) / leastMs) / growth);
      found.set(bucket, (found.get(bucket) ?? 0) + 1);
    },
    /** Plain data for `merged`; the recorder begins anew. */
    take() {
      const taken = [...byName].map(([name, buckets]) => [name, [...buckets]]);
      byName.clear();
      return taken;
    },
  };
}

/** What several recorders took, by name: how many, and milliseconds at percentiles. */
export function merged(parts) {
  const byName = new Map();
  for (const [name, buckets] of parts.flat()) {
    const sum = byName.get(name) ?? new Map();
    byName.set(name, sum);
    for (const [bucket, count] of buckets) sum.set(bucket, (sum.get(bucket) ?? 0) + count);
  }
  return Object.fromEntries(
    [...byName].map(([name, buckets]) => {
      const sorted = [...buckets].sort(([a], [b]) => a - b);
      const count = sorted.reduce((sum, [, n]) => sum + n, 0);
      const at = (share) => {
        let seen = 0;
        for (const [bucket, n] of sorted) {
          seen += n;
          if (seen >= share * count) return leastMs * Math.exp(bucket * growth);
        }
        return 0;
      };
      return [name, { count, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) }];
    }),
  );
}
