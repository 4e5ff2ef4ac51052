/** How fast a device trains and how fast its line is, measured with whatever session and transfer it has. */
import { compileTraining, initialState } from "../compile/training.ts";
import { vgg } from "../models/vgg.ts";
import { narrow } from "../network/narrow.ts";
import { networkCost } from "../network/shapes.ts";
import { writeOnnx } from "../onnx/write.ts";
import { forwardsPerTrainingStep } from "../plan/cost.ts";
import type { OpenSession } from "../runtime/session.ts";
import { openStepper } from "../runtime/stepper.ts";
import { random } from "../util/random.ts";

const batchSize = 32;
const warmUpSteps = 2;

/** Sustained multiply-adds per second in training: of a narrow VGG-11 on random 32x32 images, after a few steps to warm up. */
export async function measureTraining(openSession: OpenSession, milliseconds: number = 1000): Promise<number> {
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

/** Bits per second of a line that nothing is known of. */
export const assumedBitsPerSecond = 5e6;

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
