/** What both engines train: a narrow VGG-11 on 32x32 images, and batches that follow from a seed alone. */
import { compileTraining, initialState, type TrainingProgram } from "../../src/compile/training.ts";
import { vgg } from "../../src/models/vgg.ts";
import { narrow } from "../../src/network/narrow.ts";
import type { Network } from "../../src/network/network.ts";
import { networkCost } from "../../src/network/shapes.ts";
import { random } from "../../src/util/random.ts";
import type { Tensor } from "../../src/util/tensor.ts";

export const side = 32;
export const channels = 3;
export const classes = 10;
export const batchSize = 32;
export const learningRate = 0.01;
export const momentum = 0.9;

const pixels = { mean: 128, std: 64 };
const input = { channels, height: side, width: side, mean: [128, 128, 128], std: [64, 64, 64] };
export const network: Network = narrow(vgg("vgg11", input, classes), 0.25);
/** Multiply-adds of one forward pass of one image. */
export const macs: number = networkCost(network).macs;
export const program: TrainingProgram = compileTraining(network, {
  batchSize,
  optimizer: { type: "sgd", momentum, nesterov: true, weightDecay: 0 },
});
/** Where both engines start. */
export const initial: ReadonlyMap<string, Tensor> = initialState(program, 1);

/** A batch in both layouts. */
export interface Batch {
  /** [channels, height, width, batch], 0 to 255. */
  readonly image: Float32Array;
  /** [classes, batch] */
  readonly target: Float32Array;
  /** [batch, height, width, channels], as `(value - mean) / std`. */
  readonly imageNhwc: Float32Array;
  /** [batch, classes] */
  readonly targetByImage: Float32Array;
}

function makeBatch(index: number): Batch {
  const source = random(7, "batch", index);
  const area = side * side;
  const image = Float32Array.from({ length: channels * area * batchSize }, () => source.below(256));
  const imageNhwc = new Float32Array(image.length);
  for (let c = 0; c < channels; c++) {
    for (let p = 0; p < area; p++) {
      for (let n = 0; n < batchSize; n++) {
        const value = image[(c * area + p) * batchSize + n] as number;
        imageNhwc[(n * area + p) * channels + c] = (value - pixels.mean) / pixels.std;
      }
    }
  }
  const target = new Float32Array(classes * batchSize);
  const targetByImage = new Float32Array(target.length);
  for (let n = 0; n < batchSize; n++) {
    const label = source.below(classes);
    target[label * batchSize + n] = 1;
    targetByImage[n * classes + label] = 1;
  }
  return { image, target, imageNhwc, targetByImage };
}

/** The batches that both engines go through in turn. */
export const batches: readonly Batch[] = Array.from({ length: 4 }, (_, i) => makeBatch(i));

/** An engine in the midst of training. */
export interface Trainer {
  /** One step on batch number `index` (modulo their count); its loss. */
  step(index: number): Promise<number>;
}
