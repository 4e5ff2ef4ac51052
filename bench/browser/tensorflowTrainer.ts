/** The same network, optimizer and batches in TensorFlow.js, written with its core operations as its layers library does. */
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-core/dist/register_all_gradients.js";
import "@tensorflow/tfjs-backend-cpu";
import { setThreadsCount, setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import type { Layer } from "../../src/network/network.ts";
import type { Tensor } from "../../src/util/tensor.ts";
import {
  type Batch,
  batches,
  batchSize,
  channels,
  classes,
  initial,
  learningRate,
  momentum,
  network,
  side,
  type Trainer,
} from "./workload.ts";

setWasmPaths("/tfjs/");

export type Backend = "cpu" | "wasm";
/** Where its WebAssembly lacks the gradient of a convolution's filters, the same gradient can be composed of operations that it has. */
export type FilterGradient = "kernel" | "composed";

let filterGradient: FilterGradient = "kernel";

/**
 * Gradient of a convolution's filters as a convolution itself: channels of the input take the place of the batch, the batch that of the channels, and
 * the output's gradient is the filter. Stride 1 and same padding, as in this network.
 */
function composedFilterGradient(x: tf.Tensor4D, dy: tf.Tensor4D, filterShape: readonly number[]): tf.Tensor4D {
  const [kernelHeight = 1] = filterShape;
  const images = tf.transpose(x, [3, 1, 2, 0]) as tf.Tensor4D;
  const filters = tf.transpose(dy, [1, 2, 0, 3]) as tf.Tensor4D;
  const gradient = tf.conv2d(images, filters, 1, (kernelHeight - 1) / 2);
  return tf.transpose(gradient, [1, 2, 0, 3]) as tf.Tensor4D;
}

const convolution = tf.getGradient("Conv2D");
tf.unregisterGradient("Conv2D");
tf.registerGradient({
  ...convolution,
  gradFunc(dy, saved, attributes) {
    if (filterGradient === "kernel") return convolution.gradFunc(dy, saved, attributes);
    const [x, filter] = saved as [tf.Tensor4D, tf.Tensor4D];
    return {
      x: () => tf.conv2dTranspose(dy as tf.Tensor4D, filter, x.shape, 1, "same"),
      filter: () => composedFilterGradient(x, dy as tf.Tensor4D, filter.shape),
    };
  },
});

/** From ours to theirs: a convolution's weight [out, in, h, w] to [h, w, in, out], a linear layer's [out, in] to [in, out]. */
function variableOf(name: string, { shape, data }: Tensor): tf.Variable {
  return tf.tidy(() => {
    const value = tf.tensor(data as Float32Array, [...shape]);
    const turned = shape.length === 4 ? tf.transpose(value, [2, 3, 1, 0]) : shape.length === 2 ? tf.transpose(value) : value;
    return tf.variable(turned, !name.includes("running_"));
  });
}

/** Opens the network on a backend. Throws what TensorFlow.js throws where the backend does not start. */
export async function openTensorflow(backend: Backend, gradient: FilterGradient, threads: number): Promise<Trainer> {
  // Counts before the backend starts.
  if (backend === "wasm" && tf.findBackend("wasm") === null) setThreadsCount(threads);
  await tf.setBackend(backend);
  const variables = new Map<string, tf.Variable>();
  for (const [name, value] of initial) if (!name.endsWith(".momentum")) variables.set(name, variableOf(name, value));
  const of = (layer: Layer, name: string): tf.Variable => variables.get(`${layer.name}.${name}`) as tf.Variable;
  const optimizer = tf.train.momentum(learningRate, momentum, true);

  const normalize = (x: tf.Tensor4D, layer: Extract<Layer, { type: "batchNorm" }>): tf.Tensor4D => {
    const { mean, variance } = tf.moments(x, [0, 1, 2]);
    const count = x.size / (x.shape[3] as number);
    const move = (name: string, value: tf.Tensor): void => {
      const running = of(layer, name);
      running.assign(tf.add(tf.mul(running, 1 - layer.momentum), tf.mul(value, layer.momentum)));
    };
    move("running_mean", mean);
    move("running_var", tf.mul(variance, count / (count - 1)));
    return tf.batchNorm4d(
      x,
      mean as tf.Tensor1D,
      variance as tf.Tensor1D,
      of(layer, "bias") as never,
      of(layer, "weight") as never,
      layer.epsilon,
    );
  };
  const apply = (x: tf.Tensor, layer: Layer): tf.Tensor => {
    switch (layer.type) {
      case "conv2d":
        return tf.conv2d(x as tf.Tensor4D, of(layer, "weight") as never, 1, "same");
      case "batchNorm":
        return normalize(x as tf.Tensor4D, layer);
      case "relu":
        return tf.relu(x);
      case "maxPool":
        return tf.maxPool(x as tf.Tensor4D, [...layer.kernel], [...layer.stride], "valid");
      case "globalAvgPool":
        return tf.mean(x, [1, 2]);
      case "linear":
        return tf.add(tf.matMul(x, of(layer, "weight")), of(layer, "bias"));
      default:
        throw new Error(`The network of this comparison has no ${layer.type}.`);
    }
  };
  return {
    async step(index) {
      await tf.setBackend(backend);
      filterGradient = gradient;
      const { imageNhwc, targetByImage } = batches[index % batches.length] as Batch;
      const loss = tf.tidy(() => {
        const image = tf.tensor4d(imageNhwc, [batchSize, side, side, channels]);
        const target = tf.tensor2d(targetByImage, [batchSize, classes]);
        const lossOf = (): tf.Scalar =>
          tf.losses.softmaxCrossEntropy(target, network.layers.reduce<tf.Tensor>(apply, image) as tf.Tensor2D) as tf.Scalar;
        return optimizer.minimize(lossOf, true) as tf.Scalar;
      });
      const [value] = await loss.data();
      loss.dispose();
      return value as number;
    },
  };
}

/** Kernels that a training step on `backend` calls, by a run on a backend that has them all, and of these the ones that `other` lacks. */
export async function missingKernels(other: Backend): Promise<{ readonly called: readonly string[]; readonly missing: readonly string[] }> {
  const trainer = await openTensorflow("cpu", "kernel", 1);
  const { kernelNames } = await tf.profile(async () => tf.scalar(await trainer.step(0)));
  const has = new Set(tf.getKernelsForBackend(other).map(({ kernelName }) => kernelName));
  // Operations with a gradient of their own are listed beside kernels, and are none.
  const called = [...new Set(kernelNames)].filter((name) => !name.endsWith("__op")).sort();
  return { called, missing: called.filter((name) => !has.has(name)) };
}

export const version: string = tf.version_core;
