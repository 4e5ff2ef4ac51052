/** What this machine can do, measured in a second or two: how fast it trains, how much memory it has, how fast the coordinator is reached. */
import { readFile } from "node:fs/promises";
import { freemem, totalmem } from "node:os";
import type { MeasuredProfile } from "../protocol/messages.ts";
import { openSession } from "../runtime/session.node.ts";
import { assumedBitsPerSecond, measureBandwidth, measureTraining } from "./benchmark.ts";

export interface BenchmarkOptions {
  /** Longest time that steps are measured for; a second by default, after a few steps to warm up. */
  readonly milliseconds?: number;
  /** Share of a core that training may use. */
  readonly cpuShare?: number;
  /** Memory that training may use; what the machine has otherwise. */
  readonly memoryBytes?: number;
  /** Fetches something from the coordinator and tells how many bytes it was; without it a slow line is assumed. */
  readonly transfer?: () => Promise<number>;
}

/** A limit that a container sets; undefined where there is none. */
async function containerLimit(): Promise<number | undefined> {
  for (const path of ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]) {
    const bytes = Number(await readFile(path, "utf8").catch(() => "none"));
    if (Number.isFinite(bytes) && bytes > 0) return bytes;
  }
  return undefined;
}

/** Memory that training may use: half of what the machine or its container has, or what is free where that is more. */
export async function measureMemory(): Promise<number> {
  const total = Math.min(totalmem(), (await containerLimit()) ?? Number.POSITIVE_INFINITY);
  return Math.floor(Math.min(total, Math.max(total / 2, freemem())));
}

/** Measures what enrolment asks for. */
export async function measureProfile(options: BenchmarkOptions = {}): Promise<MeasuredProfile> {
  const { cpuShare = 1, transfer } = options;
  const macsPerSecond = await measureTraining(openSession, options.milliseconds);
  return {
    macsPerSecond: macsPerSecond * Math.min(1, cpuShare),
    memoryBytes: Math.min(options.memoryBytes ?? Number.POSITIVE_INFINITY, await measureMemory()),
    bandwidthBitsPerSecond: transfer ? await measureBandwidth(transfer) : assumedBitsPerSecond,
  };
}
