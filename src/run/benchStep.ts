/** Speed of one compiled training step on this machine: the figure that bench/compare.mjs holds against other engines. */
import { compileTraining, initialState } from "../compile/training.ts";
import type { Network } from "../network/network.ts";
import { writeOnnx } from "../onnx/write.ts";
import { openSession } from "../runtime/session.node.ts";
import { openStepper } from "../runtime/stepper.ts";
import { SheafError } from "../util/errors.ts";
import { random } from "../util/random.ts";
import { onnxruntimeVersion, sheafVersion } from "./machine.ts";

export interface StepBenchOptions {
  readonly threads: number;
  readonly batch: number;
  /** Steps that are timed, after a warm-up. */
  readonly steps: number;
  readonly seed: number;
}

export interface StepBench {
  readonly engine: string;
  readonly network: string;
  readonly width: number;
  readonly threads: number;
  readonly batch: number;
  /** Median milliseconds of a step. */
  readonly ms: number;
  readonly imagesPerSecond: number;
  /** Most memory that this process ever held. */
  readonly memoryPeakBytes: number;
  readonly steps: number;
}

/** Before timing: at least this many steps, and this long, so that memory is claimed and the processor's clock is up. */
const warmUp = { steps: 2, ms: 500 };
const round = (value: number, digits: number): number => Number(value.toFixed(digits));

/**
 * Times training steps of a network in float32 on random images: SGD with Nesterov momentum 0.9 and weight decay 5e-4.
 * `width` is only reported; narrow the network before. Throws `usage` when steps or threads are no positive whole numbers, `network` as `compileTraining` does.
 */
export async function benchStep(network: Network, width: number, { threads, batch, steps, seed }: StepBenchOptions): Promise<StepBench> {
  for (const [flag, value] of Object.entries({ steps, threads })) {
    if (!Number.isInteger(value) || value < 1)
      throw new SheafError("usage", `--${flag} must be a whole number of at least 1, got ${value}.`);
  }
  const optimizer = { type: "sgd", momentum: 0.9, nesterov: true, weightDecay: 5e-4 } as const;
  const program = compileTraining(network, { batchSize: batch, optimizer });
  await using session = await openSession(writeOnnx(program.graph), { threads, name: `the training step of ${network.name}` });
  const stepper = openStepper(program, session, initialState(program, seed));
  const sizeOfPort = (role: "image" | "target"): number =>
    program.inputs.find((p) => p.role === role)?.shape.reduce((a, n) => a * n, 1) ?? 0;
  const source = random(seed, "bench");
  const image = Float32Array.from({ length: sizeOfPort("image") }, source.normal);
  const target = new Float32Array(sizeOfPort("target"));
  const classes = target.length / batch;
  for (let n = 0; n < batch; n++) target[(n % classes) * batch + n] = 1;
  const timedStep = async (): Promise<number> => {
    const start = performance.now();
    await stepper.step(image, target, 0.01);
    return performance.now() - start;
  };
  for (let done = 0, spent = 0; done < warmUp.steps || spent < warmUp.ms; done++) spent += await timedStep();
  const times: number[] = [];
  for (let step = 0; step < steps; step++) times.push(await timedStep());
  const sorted = times.sort((a, b) => a - b);
  const ms = ((sorted[(steps - 1) >> 1] as number) + (sorted[steps >> 1] as number)) / 2;
  return {
    engine: `sheaf ${sheafVersion} onnxruntime-node ${onnxruntimeVersion}`,
    network: network.name,
    width,
    threads,
    batch,
    ms: round(ms, 2),
    imagesPerSecond: round((batch / ms) * 1e3, 0),
    memoryPeakBytes: process.resourceUsage().maxRSS * 1024,
    steps,
  };
}
