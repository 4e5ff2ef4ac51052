/** What this machine can do, measured in a second or two: how fast it trains, how much memory it has, how fast the coordinator is reached. */
import { readFile } from "node:fs/promises";
import { availableParallelism, freemem, totalmem } from "node:os";
import { compileTraining, initialState } from "../compile/training.ts";
import { vgg } from "../models/vgg.ts";
import { narrow } from "../network/narrow.ts";
import { networkCost } from "../network/shapes.ts";
import { writeOnnx } from "../onnx/write.ts";
import { forwardsPerTrainingStep } from "../plan/cost.ts";
import type { MeasuredProfile } from "../protocol/messages.ts";
import { openSession } from "../runtime/session.node.ts";
import { openStepper } from "../runtime/stepper.ts";
import { random } from "../util/random.ts";

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

const batchSize = 32;
const warmUpSteps = 2;

/** Sustained multiply-adds per second in training, on one core: of a narrow VGG-11 on random 32x32 images. */
export async function measureTraining(milliseconds: number = 1000): Promise<number> {
  const input = { channels: 3, height: 32, width: 32, mean: [128, 128, 128], std: [64, 64, 64] };
  const network = narrow(vgg("vgg11", input, 10), 0.25);
  const program = compileTraining(network, { batchSize, optimizer: { type: "sgd", momentum: 0.9, nesterov: true, weightDecay: 5e-4 } });
  const session = await openSession(writeOnnx(program.graph), { name: "the benchmark" });
  try {
    const stepper = openStepper(program, session, initialState(program, 1));
    const source = random(1, "benchmark");
    const image = Float32Array.from({ length: 3 * 32 * 32 * batchSize }, () => source.below(256));
    const target = new Float32Array(10 * batchSize);
    for (let n = 0; n < batchSize; n++) target[(n % 10) * batchSize + n] = 1;
    for (let step = 0; step < warmUpSteps; step++) await stepper.step(image, target, 0.001);
    const started = performance.now();
    let steps = 0;
    do {
      await stepper.step(image, target, 0.001);
      steps++;
    } while (performance.now() - started < milliseconds);
    const seconds = (performance.now() - started) / 1000;
    return (steps * batchSize * forwardsPerTrainingStep * networkCost(network).macs) / seconds;
  } finally {
    await session.dispose();
  }
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

/** Bits per second of a line that nothing is known of. */
const assumedBitsPerSecond = 5e6;

/** Bits per second of a transfer, the best of three, since a line is as fast as it ever was and a short answer measures the way more than the width. */
export async function measureBandwidth(transfer: () => Promise<number>): Promise<number> {
  let best = 0;
  for (let turn = 0; turn < 3; turn++) {
    const started = performance.now();
    const bytes = await transfer();
    best = Math.max(best, (8 * bytes) / Math.max(1e-4, (performance.now() - started) / 1000));
  }
  return best > 0 ? best : assumedBitsPerSecond;
}

/** Measures what enrolment asks for. */
export async function measureProfile(options: BenchmarkOptions = {}): Promise<MeasuredProfile> {
  const { cpuShare = 1, transfer } = options;
  const macsPerSecond = await measureTraining(options.milliseconds);
  return {
    macsPerSecond: macsPerSecond * Math.min(1, cpuShare),
    memoryBytes: Math.min(options.memoryBytes ?? Number.POSITIVE_INFINITY, await measureMemory()),
    bandwidthBitsPerSecond: transfer ? await measureBandwidth(transfer) : assumedBitsPerSecond,
  };
}

/** Cores of this machine. */
export const cores: number = availableParallelism();
