/** The list of jobs: the methods of every cell with every seed, each with its whole configuration; equal ones once. Reads nothing. */
import type { BaselineName } from "../baselines/table.ts";
import { withValue } from "../run/assignments.ts";
import { parseConfig, type RunConfig } from "../run/config.ts";
import { canonicalJson } from "../util/json.ts";
import { type Method, type MethodKind, recipeId } from "./methods.ts";

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

/** A cell with what it runs: its methods, and the configuration that each of them starts from. */
export interface PlannedCell {
  readonly id: string;
  readonly methods: readonly Method[];
  /** By the method's id. */
  readonly bases: ReadonlyMap<string, RunConfig>;
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
 * All jobs, seed by seed, so that a table of one seed is whole before the next begins. A point of a curve that equals an earlier job of its
 * cell and seed is that one; a change that the recipe has already is none and gives no job.
 */
export function listJobs(cells: readonly PlannedCell[], seeds: readonly number[]): readonly PaperJob[] {
  const jobs = new Map<string, PaperJob>();
  for (const seed of seeds) {
    for (const cell of cells) {
      for (const method of cell.methods) {
        const config = configOf(method, cell.bases.get(method.id) as RunConfig, seed);
        const key = `${cell.id} ${identity(method, config)}`;
        const same = jobs.get(key);
        if (same?.methods.includes(recipeId) && method.ablation !== undefined) continue;
        const { kind, baseline } = method;
        const id = `${cell.id}-${method.id}-seed${seed}`;
        const job: PaperJob = { id, cell: cell.id, kind, ...(baseline ? { baseline } : {}), seed, config, methods: [method.id] };
        jobs.set(key, same ? { ...same, methods: [...same.methods, method.id] } : job);
      }
    }
  }
  return [...jobs.values()];
}
