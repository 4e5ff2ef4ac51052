/** How fast work goes and how long it still takes, from reports of progress, over the last while. */

/** What reports say. */
export interface Report {
  /** Of the whole task, 0 to 1. */
  readonly progress: number;
  readonly step?: number;
}

export interface Pace {
  readonly samplesPerSecond: number | undefined;
  readonly secondsLeft: number | undefined;
}

export interface SpeedMeter {
  report(report: Report, nowMs: number): void;
  /** Forgets what was: after a pause, or with new work. */
  reset(): void;
  pace(batchSize: number): Pace;
}

const windowMs = 20_000;

/** Opens a meter. */
export function openSpeedMeter(): SpeedMeter {
  let reports: (Report & { readonly atMs: number })[] = [];
  return {
    report(report, atMs) {
      const last = reports.at(-1);
      if (last && report.progress < last.progress) reports = [];
      reports.push({ ...report, atMs });
      while (reports.length > 2 && (reports[1]?.atMs ?? 0) < atMs - windowMs) reports.shift();
    },
    reset() {
      reports = [];
    },
    pace(batchSize) {
      const [first, last] = [reports[0], reports.at(-1)];
      if (!first || !last || last.atMs - first.atMs < 200) return { samplesPerSecond: undefined, secondsLeft: undefined };
      const seconds = (last.atMs - first.atMs) / 1000;
      const steps = (last.step ?? 0) - (first.step ?? 0);
      const perSecond = (last.progress - first.progress) / seconds;
      return {
        samplesPerSecond: steps > 0 ? (steps * batchSize) / seconds : undefined,
        secondsLeft: perSecond > 0 ? (1 - last.progress) / perSecond : undefined,
      };
    },
  };
}

/** A duration for people. */
export function durationText(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}
