/** From the records of jobs to rows, and from rows to mean and spread over seeds, gaps to the central control, and the ablation. Pure. */
import type { PaperJob } from "./jobs.ts";
import { centralId, type Method, recipeId } from "./methods.ts";
import type { JobRecord, Measurement } from "./record.ts";

/** One classifier of one method, cell and seed. */
export interface ResultRow extends Omit<Measurement, "method"> {
  readonly cell: string;
  readonly method: string;
  readonly seed: number;
  readonly job: string;
  /** The accuracy that counts in the cell: of all samples, or the mean of the classes'. */
  readonly score: number;
}

/** Mean and spread of values. */
export interface Spread {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  /** Of the sample, with n - 1; absent for a single value. */
  readonly deviation?: number;
}

/** One classifier of one method and cell over all seeds. */
export interface SummaryRow {
  readonly cell: string;
  readonly method: string;
  readonly head?: string;
  readonly seeds: number;
  /** Of the accuracy that counts in the cell; gaps and differences are of it. */
  readonly score: Spread;
  readonly accuracy: Spread;
  readonly balancedAccuracy: Spread;
  /** Score less that of the central control of the same seed; absent without one. */
  readonly gap?: Spread;
  /** The least ratio of any device with any seed, and the mean of the medians. */
  readonly leastRatio?: number;
  readonly medianRatio?: number;
  /** Means over the seeds. */
  readonly computeMacs: number;
  readonly bytesDown?: number;
  readonly bytesUp?: number;
  readonly rounds?: number;
  readonly virtualSeconds?: number;
  readonly parameters?: number;
  /** Means over the seeds, point by point. */
  readonly curve?: NonNullable<Measurement["curve"]>;
  /** Accuracy before the first settle pass and after each, over the seeds. */
  readonly settlePasses?: readonly Spread[];
  /** Accuracy by the number of lost devices, over the sets that were tried and the seeds. */
  readonly lostDevices?: readonly { readonly lost: number; readonly accuracy: Spread }[];
}

/** What changing one thing in the recipe does. */
export interface AblationRow {
  readonly cell: string;
  readonly method: string;
  readonly change: string;
  readonly head: string;
  readonly seeds: number;
  /** Score less that of the recipe with the same seed and head. */
  readonly difference: Spread;
  readonly leastRatio?: number;
  /** Least ratio less the recipe's. */
  readonly ratioDifference?: number;
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Mean, range and sample deviation. */
export function spreadOf(values: readonly number[]): Spread {
  const mean = meanOf(values);
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return {
    mean,
    low: Math.min(...values),
    high: Math.max(...values),
    ...(values.length > 1 ? { deviation: Math.sqrt(squares / (values.length - 1)) } : {}),
  };
}

/** Rows in the order of the jobs; a job that is several methods' gives a row to each. `metricOf` says what counts in a cell. */
export function rowsOf(
  jobs: readonly PaperJob[],
  records: ReadonlyMap<string, JobRecord>,
  metricOf: (cell: string) => "accuracy" | "balancedAccuracy",
): readonly ResultRow[] {
  return jobs.flatMap((job) =>
    (records.get(job.id)?.measurements ?? []).flatMap(({ method, ...measurement }) =>
      (method === undefined ? job.methods : [method]).map(
        (id): ResultRow => ({
          cell: job.cell,
          method: id,
          seed: job.seed,
          job: job.id,
          score: measurement[metricOf(job.cell)],
          ...measurement,
        }),
      ),
    ),
  );
}

const keyOf = ({ cell, method, head }: Pick<ResultRow, "cell" | "method" | "head">): string => `${cell} ${method} ${head ?? ""}`;

function grouped(rows: readonly ResultRow[]): readonly (readonly ResultRow[])[] {
  const groups = new Map<string, ResultRow[]>();
  for (const row of rows) groups.set(keyOf(row), [...(groups.get(keyOf(row)) ?? []), row]);
  return [...groups.values()];
}

/** The mean of a value that every row has; nothing otherwise. */
function meanWhere<K extends string>(key: K, values: readonly (number | undefined)[]): { readonly [P in K]?: number } {
  const present = values.filter((value) => value !== undefined);
  return (present.length === values.length && present.length > 0 ? { [key]: meanOf(present) } : {}) as { readonly [P in K]?: number };
}

/** The mean of curves point by point; none where a seed has another number of points. */
function meanCurve(rows: readonly ResultRow[]): Pick<SummaryRow, "curve"> {
  const curves = rows.flatMap(({ curve }) => (curve && curve.length > 0 ? [curve] : []));
  const [first] = curves;
  if (!first || curves.length < rows.length || curves.some(({ length }) => length !== first.length)) return {};
  const mean = (i: number, key: "virtualSeconds" | "accuracy"): number => meanOf(curves.map((curve) => curve[i]?.[key] ?? 0));
  return { curve: first.map((_, i) => ({ virtualSeconds: mean(i, "virtualSeconds"), accuracy: mean(i, "accuracy") })) };
}

/** Spreads over seeds at each settle pass; none where a seed has another number of passes. */
function meanPasses(rows: readonly ResultRow[]): Pick<SummaryRow, "settlePasses"> {
  const passes = rows.flatMap(({ settlePasses }) => (settlePasses ? [settlePasses] : []));
  const [first] = passes;
  if (!first || passes.length < rows.length || passes.some(({ length }) => length !== first.length)) return {};
  return { settlePasses: first.map((_, pass) => spreadOf(passes.map((values) => values[pass] as number))) };
}

/** Spreads over sets and seeds by the number of lost devices. */
function lostOf(rows: readonly ResultRow[]): Pick<SummaryRow, "lostDevices"> {
  const all = rows.flatMap(({ lostDevices }) => lostDevices ?? []);
  if (all.length === 0) return {};
  const sizes = [...new Set(all.map(({ lost }) => lost))].sort((a, b) => a - b);
  const accuracies = (size: number): readonly number[] => all.flatMap(({ lost, accuracies }) => (lost === size ? accuracies : []));
  return { lostDevices: sizes.map((lost) => ({ lost, accuracy: spreadOf(accuracies(lost)) })) };
}

/** Rows of the same seed paired, and their differences in score. */
function differences(rows: readonly ResultRow[], others: readonly ResultRow[]): readonly number[] {
  return rows.flatMap(({ seed, score }) => {
    const other = others.find((candidate) => candidate.seed === seed);
    return other ? [score - other.score] : [];
  });
}

/** Mean and spread over seeds, in the order of the rows. */
export function summarize(rows: readonly ResultRow[]): readonly SummaryRow[] {
  return grouped(rows).map((group): SummaryRow => {
    const { cell, method, head } = group[0] as ResultRow;
    const central = rows.filter((row) => row.cell === cell && row.method === centralId);
    const gaps = method === centralId ? [] : differences(group, central);
    const ratios = group.flatMap(({ ratio }) => (ratio ? [ratio] : []));
    return {
      cell,
      method,
      ...(head === undefined ? {} : { head }),
      seeds: group.length,
      score: spreadOf(group.map((row) => row.score)),
      accuracy: spreadOf(group.map((row) => row.accuracy)),
      balancedAccuracy: spreadOf(group.map((row) => row.balancedAccuracy)),
      ...(gaps.length > 0 ? { gap: spreadOf(gaps) } : {}),
      ...(ratios.length > 0
        ? { leastRatio: Math.min(...ratios.map(({ min }) => min)), medianRatio: meanOf(ratios.map(({ median }) => median)) }
        : {}),
      computeMacs: meanOf(group.map((row) => row.computeMacs)),
      ...meanWhere(
        "bytesDown",
        group.map((row) => row.bytesDown),
      ),
      ...meanWhere(
        "bytesUp",
        group.map((row) => row.bytesUp),
      ),
      ...meanWhere(
        "rounds",
        group.map((row) => row.rounds),
      ),
      ...meanWhere(
        "virtualSeconds",
        group.map((row) => row.virtualSeconds),
      ),
      ...meanWhere(
        "parameters",
        group.map((row) => row.parameters),
      ),
      ...meanCurve(group),
      ...meanPasses(group),
      ...lostOf(group),
    };
  });
}

/** The ablation: each method that changes one thing, against the recipe or what else it changes, under the head that the recipe answers with. */
export function ablate(rows: readonly ResultRow[], methods: readonly Method[], heads: ReadonlyMap<string, string>): readonly AblationRow[] {
  return [...heads].flatMap(([cell, head]) =>
    methods.flatMap(({ id, ablation, against = recipeId }): readonly AblationRow[] => {
      if (ablation === undefined) return [];
      const of = (method: string): readonly ResultRow[] =>
        rows.filter((row) => row.cell === cell && row.method === method && row.head === head);
      const found = differences(of(id), of(against));
      if (found.length === 0) return [];
      const least = (method: string): number | undefined => {
        const ratios = of(method).flatMap(({ ratio }) => (ratio ? [ratio.min] : []));
        return ratios.length > 0 ? Math.min(...ratios) : undefined;
      };
      const [leastRatio, baseRatio] = [least(id), least(against)];
      return [
        {
          cell,
          method: id,
          change: ablation,
          head,
          seeds: found.length,
          difference: spreadOf(found),
          ...(leastRatio === undefined ? {} : { leastRatio }),
          ...(leastRatio === undefined || baseRatio === undefined ? {} : { ratioDifference: leastRatio - baseRatio }),
        },
      ];
    }),
  );
}
