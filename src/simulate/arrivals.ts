/** Traces drawn by seed: when devices come, how long they stay each time, which never come back. */
import { type Random, random } from "../util/random.ts";
import type { Interval } from "./trace.ts";

/** When devices come for the first time. */
export type Arrivals = { readonly type: "allAtOnce" } | { readonly type: "poisson"; readonly perHour: number };

/** How long a device stays and is away: always there; for exponential times; or at home at night, about ten in the evening to six. */
export type Sessions =
  | { readonly type: "always" }
  | { readonly type: "exponential"; readonly onHours: number; readonly offHours: number }
  | { readonly type: "nights" };

export interface Losses {
  /** Probability that a device is lost for good. */
  readonly share: number;
  /** Mean time from its arrival until then. */
  readonly hours: number;
}

export interface TraceOptions {
  readonly seed: number;
  readonly arrivals: Arrivals;
  readonly sessions: Sessions;
  readonly losses: Losses;
  /** Nothing is drawn behind it. */
  readonly untilMs: number;
}

const hourMs = 3_600_000;
/** Virtual time begins at six in the evening. */
const startHour = 18;
const [homeHour, leaveHour] = [22, 30];

const exponential = (source: Random, mean: number): number => -mean * Math.log(1 - source.uniform());

function* stays(sessions: Sessions, source: Random, arrivalMs: number): Generator<readonly [fromMs: number, toMs: number]> {
  switch (sessions.type) {
    case "always":
      yield [arrivalMs, Number.POSITIVE_INFINITY];
      return;
    case "exponential":
      for (let at = arrivalMs; ; ) {
        const to = at + Math.max(1, Math.round(exponential(source, sessions.onHours * hourMs)));
        yield [at, to];
        at = to + Math.max(1, Math.round(exponential(source, sessions.offHours * hourMs)));
      }
    case "nights":
      // Up to an hour earlier or later, every night anew.
      for (let day = 0; ; day++) {
        const [from, to] = [homeHour, leaveHour].map((hour) =>
          Math.round((24 * day + hour - startHour + 2 * source.uniform() - 1) * hourMs),
        ) as [number, number];
        if (to > arrivalMs) yield [Math.max(from, arrivalMs), to];
      }
  }
}

/** Intervals of each device, in order; one that is lost before it could come has none. */
export function drawTrace(names: readonly string[], options: TraceOptions): ReadonlyMap<string, readonly Interval[]> {
  const { seed, arrivals, sessions, losses, untilMs } = options;
  const gaps = random(seed, "simulate", "arrivals");
  let arrivalMs = 0;
  return new Map(
    names.map((name) => {
      if (arrivals.type === "poisson") arrivalMs += Math.round(exponential(gaps, hourMs / arrivals.perHour));
      const source = random(seed, "simulate", "sessions", name);
      const fate = random(seed, "simulate", "losses", name);
      const isLost = fate.uniform() < losses.share;
      const endMs = isLost ? arrivalMs + Math.round(exponential(fate, losses.hours * hourMs)) : Number.POSITIVE_INFINITY;
      const intervals: Interval[] = [];
      for (const [fromMs, toMs] of stays(sessions, source, arrivalMs)) {
        if (fromMs >= Math.min(endMs, untilMs)) break;
        intervals.push({ fromMs, toMs: Math.min(toMs, endMs), onPower: true, speed: 1 });
      }
      return [name, intervals] as const;
    }),
  );
}
