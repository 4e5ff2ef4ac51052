/** DS-CNN for keyword spotting (Zhang et al. 2017, "Hello Edge"): a convolution, then depthwise-separable blocks and a global average. */
import type { Network, NetworkInput } from "../network/network.ts";
import { type Chain, chain, convolution, standardBatchNorm } from "./chain.ts";

/** The paper's medium size. */
const channels = 172;
const blocks = 4;

function normalize(net: Chain, name: string): void {
  net.push("batchNorm", `${name}_bn`, standardBatchNorm);
  net.push("relu", `${name}_relu`, {});
}

/**
 * DS-CNN of the paper's medium size, at full width. On 49x40x1 and 12 classes: 9.82 million MACs, 0.14 million parameters.
 * The paper reads 49x10 MFCC and moves its first 10x4 kernel by 1 along the coefficients; here it moves by 4 along 40 bands, which gives the
 * same maps, 25x10 and then 13x5, at the same cost. Padding is the same on both sides, and its dropout is left out.
 */
export function dsCnn(input: NetworkInput, classes: number): Network {
  const net = chain(input);
  // Where kernels tile the bands, none is padded.
  const padding = [5, input.width % 4 === 0 ? 0 : 2] as const;
  net.push("conv2d", "conv1", { ...convolution(channels, 1, { stride: [2, 4], padding }), kernel: [10, 4] });
  normalize(net, "conv1");
  for (let i = 1; i <= blocks; i++) {
    const stride = i === 1 ? 2 : 1;
    const depthwise = convolution(channels, 3, { groups: channels, stride: [stride, stride], padding: [1, 1] });
    net.push("conv2d", `block${i}_depthwise`, depthwise);
    normalize(net, `block${i}_depthwise`);
    net.push("conv2d", `block${i}_pointwise`, convolution(channels, 1));
    normalize(net, `block${i}_pointwise`);
  }
  net.push("globalAvgPool", "pool", {});
  net.push("linear", "classifier", { outFeatures: classes, bias: true });
  return net.network("ds-cnn");
}
