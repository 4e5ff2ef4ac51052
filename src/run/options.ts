/** What a run is given, and what it tells while it goes on. */
import type { TrainingProgress } from "../train/job.ts";
import type { RunConfig } from "./config.ts";
import type { DataProgress } from "./loadData.ts";
import type { PreparedRun } from "./prepare.ts";

/** What happens in a run, as it happens. */
export type RunEvent =
  | {
      readonly type: "data";
      readonly name: string;
      readonly train: number;
      readonly test: number;
      readonly evaluatedOn: "test" | "validation";
      readonly source: string;
      readonly note: string | undefined;
    }
  | { readonly type: "planned"; readonly prepared: PreparedRun; readonly classNames: readonly string[] }
  | { readonly type: "resumed"; readonly finished: readonly string[] }
  | TrainingProgress
  | { readonly type: "trained"; readonly job: string; readonly seconds: number; readonly loss: number; readonly accuracy: number }
  | { readonly type: "rejected"; readonly device: string; readonly reason: string }
  | { readonly type: "settling"; readonly pass: number; readonly passes: number; readonly devices: readonly string[] }
  | { readonly type: "statistics"; readonly device: string; readonly samples: number }
  | { readonly type: "evaluated"; readonly id: string; readonly accuracy: number }
  | { readonly type: "written"; readonly file: string };

export interface RunOptions {
  readonly config: RunConfig;
  /** Run directory; must be new or empty unless `resume` is set. */
  readonly out: string;
  readonly resume?: boolean;
  /** Folder with data sets. */
  readonly dataDir?: string;
  readonly signal?: AbortSignal;
  /** The command line, for the report. */
  readonly commandLine?: string;
  readonly onEvent?: (event: RunEvent) => void;
  readonly dataProgress?: DataProgress;
}
