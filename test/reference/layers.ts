/**
 * Layers in plain loops over [N, C, H, W] arrays of doubles, each with its backward pass derived by hand.
 * Slow and independent: shares no line with the compiler that it judges.
 */

/** A batch of images, or of vectors when height and width are 1. */
export interface Batch {
  readonly n: number;
  readonly c: number;
  readonly h: number;
  readonly w: number;
  readonly data: Float64Array;
}

export const batchOf = (n: number, c: number, h: number, w: number, data: Float64Array = new Float64Array(n * c * h * w)): Batch => ({
  n,
  c,
  h,
  w,
  data,
});
const at = (x: Batch, n: number, c: number, h: number, w: number): number => ((n * x.c + c) * x.h + h) * x.w + w;

/** What a layer gives: its output, and from the output's gradient that of the input; parameters' gradients are added to `gradients`. */
export interface Step {
  readonly output: Batch;
  backward(gradient: Batch): Batch;
}

export interface Convolution {
  readonly outChannels: number;
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
  readonly groups: number;
}

/** Cross-correlation with zero padding. `weight` is [out, in / groups, kernel, kernel]; `bias` may be absent. */
export function convolution(
  x: Batch,
  weight: Float64Array,
  bias: Float64Array | undefined,
  o: Convolution,
  gradients: Map<string, Float64Array>,
  name: string,
): Step {
  const outHeight = Math.floor((x.h + 2 * o.padding - o.kernel) / o.stride) + 1;
  const outWidth = Math.floor((x.w + 2 * o.padding - o.kernel) / o.stride) + 1;
  const inPerGroup = x.c / o.groups;
  const outPerGroup = o.outChannels / o.groups;
  const y = batchOf(x.n, o.outChannels, outHeight, outWidth);
  /** Calls `visit` with the places in output, input and weight of every product of the sum. */
  const products = (visit: (out: number, into: number, by: number) => void): void => {
    for (let n = 0; n < x.n; n++)
      for (let k = 0; k < o.outChannels; k++)
        for (let i = 0; i < outHeight; i++)
          for (let j = 0; j < outWidth; j++)
            for (let c = 0; c < inPerGroup; c++)
              for (let p = 0; p < o.kernel; p++)
                for (let q = 0; q < o.kernel; q++) {
                  const row = i * o.stride + p - o.padding;
                  const column = j * o.stride + q - o.padding;
                  if (row < 0 || row >= x.h || column < 0 || column >= x.w) continue;
                  const channel = Math.floor(k / outPerGroup) * inPerGroup + c;
                  visit(at(y, n, k, i, j), at(x, n, channel, row, column), ((k * inPerGroup + c) * o.kernel + p) * o.kernel + q);
                }
  };
  const channelOf = (index: number): number => Math.floor(index / (outHeight * outWidth)) % o.outChannels;
  if (bias) for (let i = 0; i < y.data.length; i++) y.data[i] = bias[channelOf(i)]!;
  products((out, into, by) => {
    y.data[out]! += x.data[into]! * weight[by]!;
  });
  return {
    output: y,
    backward(dy) {
      const dx = batchOf(x.n, x.c, x.h, x.w);
      const dWeight = new Float64Array(weight.length);
      products((out, into, by) => {
        dx.data[into]! += dy.data[out]! * weight[by]!;
        dWeight[by]! += dy.data[out]! * x.data[into]!;
      });
      gradients.set(`${name}.weight`, dWeight);
      if (bias) {
        const dBias = new Float64Array(o.outChannels);
        for (let i = 0; i < dy.data.length; i++) dBias[channelOf(i)]! += dy.data[i]!;
        gradients.set(`${name}.bias`, dBias);
      }
      return dx;
    },
  };
}

export interface Normalization {
  readonly weight: Float64Array;
  readonly bias: Float64Array;
  readonly runningMean: Float64Array;
  readonly runningVariance: Float64Array;
  readonly epsilon: number;
  readonly momentum: number;
}

/** Batch normalization in training; moves the running statistics in place. */
export function batchNormalization(x: Batch, o: Normalization, gradients: Map<string, Float64Array>, name: string): Step {
  const y = batchOf(x.n, x.c, x.h, x.w);
  const standard = batchOf(x.n, x.c, x.h, x.w);
  const count = x.n * x.h * x.w;
  const deviations = new Float64Array(x.c);
  const each = (c: number, visit: (index: number) => void): void => {
    for (let n = 0; n < x.n; n++) for (let h = 0; h < x.h; h++) for (let w = 0; w < x.w; w++) visit(at(x, n, c, h, w));
  };
  for (let c = 0; c < x.c; c++) {
    let mean = 0;
    each(c, (i) => (mean += x.data[i]! / count));
    let variance = 0;
    each(c, (i) => (variance += (x.data[i]! - mean) ** 2 / count));
    deviations[c] = Math.sqrt(variance + o.epsilon);
    each(c, (i) => {
      standard.data[i] = (x.data[i]! - mean) / deviations[c]!;
      y.data[i] = standard.data[i]! * o.weight[c]! + o.bias[c]!;
    });
    o.runningMean[c] = (1 - o.momentum) * o.runningMean[c]! + o.momentum * mean;
    o.runningVariance[c] = (1 - o.momentum) * o.runningVariance[c]! + (o.momentum * variance * count) / (count - 1);
  }
  return {
    output: y,
    backward(dy) {
      const dx = batchOf(x.n, x.c, x.h, x.w);
      const dWeight = new Float64Array(x.c);
      const dBias = new Float64Array(x.c);
      for (let c = 0; c < x.c; c++) {
        each(c, (i) => {
          dWeight[c]! += dy.data[i]! * standard.data[i]!;
          dBias[c]! += dy.data[i]!;
        });
        each(c, (i) => {
          dx.data[i] = (o.weight[c]! / deviations[c]!) * (dy.data[i]! - dBias[c]! / count - (standard.data[i]! * dWeight[c]!) / count);
        });
      }
      gradients.set(`${name}.weight`, dWeight);
      gradients.set(`${name}.bias`, dBias);
      return dx;
    },
  };
}

export function rectifier(x: Batch): Step {
  return {
    output: { ...x, data: x.data.map((v) => Math.max(v, 0)) },
    backward: (dy) => ({ ...x, data: dy.data.map((g, i) => (x.data[i]! > 0 ? g : 0)) }),
  };
}

/** Largest of each `size` x `size` window; windows lie side by side, what is left over at the edges is not read. */
export function maxPooling(x: Batch, size: number): Step {
  const y = batchOf(x.n, x.c, Math.floor(x.h / size), Math.floor(x.w / size));
  const winners = new Int32Array(y.data.length);
  for (let n = 0; n < y.n; n++)
    for (let c = 0; c < y.c; c++)
      for (let i = 0; i < y.h; i++)
        for (let j = 0; j < y.w; j++) {
          let best = at(x, n, c, i * size, j * size);
          for (let p = 0; p < size; p++)
            for (let q = 0; q < size; q++) {
              const place = at(x, n, c, i * size + p, j * size + q);
              if (x.data[place]! > x.data[best]!) best = place;
            }
          winners[at(y, n, c, i, j)] = best;
          y.data[at(y, n, c, i, j)] = x.data[best]!;
        }
  return {
    output: y,
    backward(dy) {
      const dx = batchOf(x.n, x.c, x.h, x.w);
      for (let i = 0; i < winners.length; i++) dx.data[winners[i]!]! += dy.data[i]!;
      return dx;
    },
  };
}

/** `weight` is [out, features], where features run over channel, row and column of the input. */
export function fullyConnected(
  x: Batch,
  weight: Float64Array,
  bias: Float64Array,
  gradients: Map<string, Float64Array>,
  name: string,
): Step {
  const outputs = bias.length;
  const features = x.c * x.h * x.w;
  const y = batchOf(x.n, outputs, 1, 1);
  for (let n = 0; n < x.n; n++)
    for (let k = 0; k < outputs; k++) {
      let sum = bias[k]!;
      for (let f = 0; f < features; f++) sum += weight[k * features + f]! * x.data[n * features + f]!;
      y.data[n * outputs + k] = sum;
    }
  return {
    output: y,
    backward(dy) {
      const dx = batchOf(x.n, x.c, x.h, x.w);
      const dWeight = new Float64Array(weight.length);
      const dBias = new Float64Array(outputs);
      for (let n = 0; n < x.n; n++)
        for (let k = 0; k < outputs; k++) {
          const g = dy.data[n * outputs + k]!;
          dBias[k]! += g;
          for (let f = 0; f < features; f++) {
            dWeight[k * features + f]! += g * x.data[n * features + f]!;
            dx.data[n * features + f]! += g * weight[k * features + f]!;
          }
        }
      gradients.set(`${name}.weight`, dWeight);
      gradients.set(`${name}.bias`, dBias);
      return dx;
    },
  };
}

/** Mean softmax cross-entropy against class numbers, and its gradient. */
export function crossEntropy(logits: Batch, labels: readonly number[]): { readonly loss: number; readonly gradient: Batch } {
  const gradient = batchOf(logits.n, logits.c, 1, 1);
  let loss = 0;
  for (let n = 0; n < logits.n; n++) {
    const row = logits.data.subarray(n * logits.c, (n + 1) * logits.c);
    const largest = Math.max(...row);
    const total = row.reduce((sum, v) => sum + Math.exp(v - largest), 0);
    loss -= (row[labels[n]!]! - largest - Math.log(total)) / logits.n;
    for (let c = 0; c < logits.c; c++) {
      gradient.data[n * logits.c + c] = (Math.exp(row[c]! - largest) / total - (c === labels[n] ? 1 : 0)) / logits.n;
    }
  }
  return { loss, gradient };
}
