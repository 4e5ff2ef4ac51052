/** The list of jobs: every method of every cell with every seed, each with its whole configuration; equal ones once. Reads nothing. */
import type { BaselineName } from "../baselines/table.ts";
import { parseConfig, type RunConfig, withValue } from "../run/config.ts";
import { canonicalJson } from "../util/json.ts";
import type { Cell } from "./cells.ts";
import type { Method, MethodKind } from "./methods.ts";

/** One training, run or baseline in a run directory of its own. */
export interface PaperJob {
  /** Unique, and a name of a folder: `CELL-METHOD-seedN`. */
  readonly id: string;
  readonly cell: string;
  readonly kind: MethodKind;
  /** Of a baseline: which. */
  readonly baseline?: BaselineName;
  readonly seed: number;
  readonly config: RunConfig;
  /** The methods whose result this is: more than one where changing a key leaves the recipe as it is. */
  readonly methods: readonly string[];
}

/** Configuration of a method in a cell. Throws `config`, naming the method, where a key of it is not known or out of range. */
export function configOf(method: Method, base: RunConfig, seed: number): RunConfig {
  let value: unknown = { ...base, seed, controls: { central: false, slim: false } };
  for (const [key, setting] of Object.entries(method.set)) value = withValue(value, key.split("."), setting);
  return parseConfig(value, `the method "${method.id}"`);
}

/** What the result depends on: the control that a run trains beside does not change the rest of it. */
const identity = ({ kind, baseline }: Method, { workers: _, checkpointSeconds: __, controls: ___, ...config }: RunConfig): string =>
  canonicalJson(JSON.parse(JSON.stringify({ kind, baseline, config })));

/**
 * All jobs, seed by seed, so that a table of one seed is whole before the next begins. `bases` holds each cell's configuration.
 * A job that equals an earlier one of its cell and seed is that one.
 */
export function listJobs(
  cells: readonly Pick<Cell, "id">[],
  methods: readonly Method[],
  seeds: readonly number[],
  bases: ReadonlyMap<string, RunConfig>,
): readonly PaperJob[] {
  const jobs = new Map<string, PaperJob>();
  for (const seed of seeds) {
    for (const cell of cells) {
      for (const method of methods) {
        const config = configOf(method, bases.get(cell.id) as RunConfig, seed);
        const key = `${cell.id} ${identity(method, config)}`;
        const same = jobs.get(key);
        const { kind, baseline } = method;
        const id = `${cell.id}-${method.id}-seed${seed}`;
        const job: PaperJob = { id, cell: cell.id, kind, ...(baseline ? { baseline } : {}), seed, config, methods: [method.id] };
        jobs.set(key, same ? { ...same, methods: [...same.methods, method.id] } : job);
      }
    }
  }
  return [...jobs.values()];
}
