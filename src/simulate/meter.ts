/** What the coordinator itself costs: processor time by command and by phase. The one thing in a simulation that is measured and not computed. */

export interface Cost {
  readonly count: number;
  readonly cpuMs: number;
}

export type CostTable = Readonly<Record<string, Cost>>;

export interface Meter {
  /** Begins to measure; the answer ends it and charges what was used to each of its keys. */
  start(): (...keys: readonly string[]) => void;
  table(): CostTable;
}

/** A meter over this process's processor time, garbage collection included. */
export function openMeter(): Meter {
  const costs = new Map<string, { count: number; cpuMs: number }>();
  return {
    start() {
      const before = process.cpuUsage();
      return (...keys) => {
        const { user, system } = process.cpuUsage(before);
        for (const key of keys) {
          const cost = costs.get(key) ?? { count: 0, cpuMs: 0 };
          cost.count++;
          cost.cpuMs += (user + system) / 1000;
          costs.set(key, cost);
        }
      };
    },
    table: () => Object.fromEntries([...costs].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, cost]) => [key, { ...cost }])),
  };
}
