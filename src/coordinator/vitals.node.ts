/** How a coordinator's process is: memory, how long its event loop keeps others waiting, connections, the size of its log. */
import { statSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Vitals } from "../protocol/operatorMessages.ts";
import type { Metrics } from "./metrics.ts";

export interface VitalsOptions {
  /** The log's file; beside it may lie what was not moved into it yet (`-wal`). */
  readonly logFile: string;
  /** Connections that are open. */
  readonly connections: () => number;
  /** Over which time lags are told; a minute by default. */
  readonly windowMs?: number;
}

/** Looks after the process until it is closed. */
export interface VitalsMonitor extends Disposable {
  read(): Vitals;
  close(): void;
}

const resolutionMs = 20;

function fileBytes(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Begins to measure. Lags are those of the last whole window and what has passed of the next. */
export function openVitals({ logFile, connections, windowMs = 60_000 }: VitalsOptions): VitalsMonitor {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  delay.enable();
  let before = { p99Ms: 0, maxMs: 0 };
  // The histogram counts the whole time between two looks; what is beyond its own step was waiting.
  const waitedMs = (nanoseconds: number): number => Math.max(0, Math.round(nanoseconds / 1e6) - resolutionMs);
  const lagNow = () => ({ p99Ms: waitedMs(delay.percentile(99)), maxMs: waitedMs(delay.max) });
  const turning = setInterval(() => {
    before = lagNow();
    delay.reset();
  }, windowMs);
  turning.unref();
  const close = (): void => {
    clearInterval(turning);
    delay.disable();
  };
  return {
    read() {
      const { rss, heapUsed } = process.memoryUsage();
      const lag = lagNow();
      return {
        residentBytes: rss,
        heapBytes: heapUsed,
        eventLoopLagP99Ms: Math.max(before.p99Ms, lag.p99Ms),
        eventLoopLagMaxMs: Math.max(before.maxMs, lag.maxMs),
        connections: connections(),
        logBytes: fileBytes(logFile) + fileBytes(`${logFile}-wal`),
      };
    },
    close,
    [Symbol.dispose]: close,
  };
}

/** The same as gauges. */
export function addVitals(metrics: Metrics, read: () => Vitals): void {
  metrics.gauge("sheaf_resident_bytes", "Memory of the process.", () => read().residentBytes);
  metrics.gauge("sheaf_heap_bytes", "Memory that JavaScript objects take.", () => read().heapBytes);
  metrics.gauge("sheaf_event_loop_lag_seconds", "How long the event loop kept others waiting in the last minute or two.", () => {
    const { eventLoopLagP99Ms, eventLoopLagMaxMs } = read();
    return [
      [{ quantile: "0.99" }, eventLoopLagP99Ms / 1000],
      [{ quantile: "1" }, eventLoopLagMaxMs / 1000],
    ];
  });
  metrics.gauge("sheaf_connections", "Connections that are open.", () => read().connections);
  metrics.gauge("sheaf_log_bytes", "Size of the log on the disk.", () => read().logBytes);
}
