/** Settle passes on the virtual clock. */
import type { TimelineSegment } from "../report/reportData.ts";
import type { RunConfig } from "./config.ts";
import { settleOrder, settlePassesOf } from "./settlePlan.ts";

/** A device as the clock sees it. */
export interface SettlingDevice {
  readonly id: string;
  readonly macsPerSecond: number;
  readonly bandwidthBitsPerSecond: number;
  /** Of all its passes. */
  readonly settleMacs: number;
  /** Of its branch. */
  readonly weightBytes: number;
}

export interface SettleTimeline {
  /** By device, in the order given. */
  readonly segments: readonly (readonly TimelineSegment[])[];
  /** Bytes of all passes of each device. */
  readonly bytesDown: readonly number[];
  readonly bytesUp: readonly number[];
  /** When the last weights of the last pass are up. */
  readonly endSeconds: number;
}

/**
 * A turn: the other branches' weights down, the pass, the weights up. In turn, a device begins when the one before it is done; together, all begin when
 * the last pass is over.
 */
export function settleTimeline(config: RunConfig, devices: readonly SettlingDevice[], startSeconds: number): SettleTimeline {
  const total = devices.reduce((sum, { weightBytes }) => sum + weightBytes, 0);
  const passesOf = devices.map(({ id }) => settlePassesOf(config, id));
  const segments = devices.map((): TimelineSegment[] => []);
  const ids = devices.map(({ id }) => id);
  let now = startSeconds;
  for (let pass = 1; pass <= config.settle.passes; pass++) {
    const began = now;
    for (const id of settleOrder(config, ids, pass)) {
      const i = ids.indexOf(id);
      const { macsPerSecond, bandwidthBitsPerSecond, settleMacs, weightBytes } = devices[i] as SettlingDevice;
      const passes = passesOf[i] ?? [];
      if (!passes.includes(pass)) continue;
      const start = config.settle.order === "together" ? began : now;
      const fetched = start + (8 * (total - weightBytes)) / bandwidthBitsPerSecond;
      const settled = fetched + settleMacs / passes.length / macsPerSecond;
      const up = settled + (8 * weightBytes) / bandwidthBitsPerSecond;
      segments[i]?.push(
        { kind: "download", startSeconds: start, endSeconds: fetched },
        { kind: "settle", startSeconds: fetched, endSeconds: settled },
        { kind: "upload", startSeconds: settled, endSeconds: up },
      );
      now = Math.max(now, up);
    }
  }
  return {
    segments,
    bytesDown: devices.map(({ weightBytes }, i) => (passesOf[i]?.length ?? 0) * (total - weightBytes)),
    bytesUp: devices.map(({ weightBytes }, i) => (passesOf[i]?.length ?? 0) * weightBytes),
    endSeconds: now,
  };
}
