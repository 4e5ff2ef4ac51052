/** What a paper will take before it is begun: the multiply-adds of each job by its plan, or why a job has none. Reads the data; trains nothing. */
import type { Dataset } from "../data/dataset.ts";
import { loadData } from "../run/loadData.ts";
import { type PreparedRun, prepareRun } from "../run/prepare.ts";
import { fitOf, loadTarget } from "../run/target.ts";
import { SheafError } from "../util/errors.ts";
import { canonicalJson } from "../util/json.ts";
import type { PaperJob } from "./jobs.ts";
import { kinds } from "./kinds.ts";

/** What one job will take. */
export interface JobEstimate {
  readonly job: string;
  readonly macs: number;
  /** Why it cannot be done, where that is known already. */
  readonly reason?: string;
}

export interface EstimateOptions {
  readonly dataDir?: string;
  readonly signal?: AbortSignal;
}

/** Estimates of all jobs, in their order. Another seed is taken to cost what the first does. Throws `data` where a data set is missing. */
export async function estimateJobs(jobs: readonly PaperJob[], { dataDir, signal }: EstimateOptions): Promise<readonly JobEstimate[]> {
  const byMethod = new Map<string, Omit<JobEstimate, "job">>();
  let loaded: { readonly key: string; readonly train: Dataset } | undefined;
  const keyOf = ({ cell, methods }: PaperJob): string => `${cell} ${methods[0]}`;
  // Cell by cell, so that one data set at a time is held.
  for (const job of [...jobs].sort((a, b) => (a.cell < b.cell ? -1 : a.cell > b.cell ? 1 : 0))) {
    if (byMethod.has(keyOf(job))) continue;
    const key = canonicalJson(JSON.parse(JSON.stringify(job.config.data)));
    if (loaded?.key !== key) {
      const { train } = await loadData(job.config, dataDir === undefined ? {} : { data: dataDir }, undefined, signal);
      loaded = { key, train };
    }
    const { train } = loaded;
    try {
      const { network: target, parameters } = await loadTarget(job.config, fitOf(train));
      const prepared = (): PreparedRun => prepareRun(job.config, target, train, parameters !== undefined);
      byMethod.set(keyOf(job), { macs: kinds[job.kind].macs(job, { target, train, prepared }) });
    } catch (error) {
      if (!(error instanceof SheafError)) throw error;
      byMethod.set(keyOf(job), { macs: 0, reason: error.message });
    }
  }
  return jobs.map((job) => ({ job: job.id, macs: 0, ...byMethod.get(keyOf(job)) }));
}
