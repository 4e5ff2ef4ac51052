/** One training program on batches that follow from a seed alone: the same on any runtime. */
import { compileTraining, initialState } from "../../../src/compile/training.ts";
import { tiny } from "../../../src/models/tiny.ts";
import { vgg } from "../../../src/models/vgg.ts";
import { narrow } from "../../../src/network/narrow.ts";
import { writeOnnx } from "../../../src/onnx/write.ts";
import type { OpenSession, SessionOptions } from "../../../src/runtime/session.ts";
import { openStepper } from "../../../src/runtime/stepper.ts";
import { random } from "../../../src/util/random.ts";

const batchSize = 8;
const classes = 5;
const batches = 4;

/** A narrow VGG-11, and a network small enough for a software imitation of a graphics processor. */
export type Trained = "vgg11" | "tiny";

/** Losses of so many steps. */
export async function lossesOf(openSession: OpenSession, trained: Trained, steps: number, options: SessionOptions): Promise<number[]> {
  const input = { channels: 3, height: 32, width: 32, mean: [128, 128, 128], std: [64, 64, 64] };
  const network = narrow(trained === "tiny" ? tiny(input, classes) : vgg("vgg11", input, classes), trained === "tiny" ? 0.5 : 0.1);
  const program = compileTraining(network, { batchSize, optimizer: { type: "sgd", momentum: 0.9, nesterov: true, weightDecay: 5e-4 } });
  const session = await openSession(writeOnnx(program.graph), options);
  try {
    const stepper = openStepper(program, session, initialState(program, 1));
    const losses: number[] = [];
    for (let step = 0; step < steps; step++) {
      const source = random(7, "batch", step % batches);
      const image = Float32Array.from({ length: 3 * 32 * 32 * batchSize }, () => source.below(256));
      const target = new Float32Array(classes * batchSize);
      for (let n = 0; n < batchSize; n++) target[source.below(classes) * batchSize + n] = 1;
      losses.push((await stepper.step(image, target, 0.01)).loss);
    }
    return losses;
  } finally {
    await session.dispose();
  }
}
