/** How the coordinator's cost grows with the number of devices: an exponent fitted to each part of it, and the size from which it is no longer linear. */
import type { CoordinatorCost, SimulationResult } from "./outcome.ts";

export interface Growth {
  /** `total`, a command, `plan` or `log`. */
  readonly what: string;
  /** Milliseconds of processor time by size, in the order of the sizes. */
  readonly cpuMs: readonly number[];
  /** b of cost = a n^b, by least squares of the logarithms. */
  readonly exponent: number;
  /** b between each size and the next. */
  readonly local: readonly number[];
  /** The first size that costs clearly more than the size before it lets expect; absent where growth is linear throughout. */
  readonly overLinearFrom?: number;
}

/** Local exponents above this are no noise. */
const clearlyOver = 1.2;
/** Less than this is not worth measuring. */
const leastMs = 20;

/** Slope of y over x by least squares. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (place: 0 | 1): number => points.reduce((sum, point) => sum + point[place], 0) / points.length;
  const [mx, my] = [mean(0), mean(1)];
  const above = points.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0);
  return above / points.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
}

/** Growth of one part over sizes, which ascend. */
export function growthOf(what: string, sizes: readonly number[], cpuMs: readonly number[]): Growth {
  const points = sizes.map((n, i) => [Math.log(n), Math.log(Math.max(cpuMs[i] as number, 0.01))] as const);
  const local = points.slice(1).map((point, i) => slope([points[i] as (typeof points)[number], point]));
  const over = local.findIndex((exponent, i) => exponent > clearlyOver && (cpuMs[i + 1] as number) >= leastMs);
  return { what, cpuMs, exponent: slope(points), local, ...(over < 0 ? {} : { overLinearFrom: sizes[over + 1] as number }) };
}

/** Growth of all parts that are worth it, the dearest at the largest size first; empty for fewer than two sizes. */
export function growths(results: readonly SimulationResult[]): readonly Growth[] {
  const measured = results
    .flatMap(({ devices, coordinator }) => (coordinator ? [{ n: devices.total, cost: coordinator }] : []))
    .sort((a, b) => a.n - b.n);
  const last = measured.at(-1);
  if (!last || measured.length < 2 || measured[0]?.n === last.n) return [];
  const sizes = measured.map(({ n }) => n);
  const part = (what: string, of: (cost: CoordinatorCost) => number): Growth =>
    growthOf(
      what,
      sizes,
      measured.map(({ cost }) => of(cost)),
    );
  const parts = [
    ...Object.keys(last.cost.byCommand).map((name) => part(name, (cost) => cost.byCommand[name]?.cpuMs ?? 0)),
    part("log", (cost) => cost.log.cpuMs),
  ].filter(({ cpuMs }) => (cpuMs.at(-1) ?? 0) >= leastMs);
  return [part("total", (cost) => cost.cpuMs), ...parts.sort((a, b) => (b.cpuMs.at(-1) ?? 0) - (a.cpuMs.at(-1) ?? 0))];
}
