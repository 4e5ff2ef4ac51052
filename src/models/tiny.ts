/** A small network for tests and first steps: two convolutions and a linear layer. */
import type { Network, NetworkInput } from "../network/network.ts";
import { chain, convolution, halvingPool, standardBatchNorm } from "./chain.ts";

/** Two 3x3 convolutions (16 and 32 channels) with batch norm, ReLU and pool, a global average and a linear layer. */
export function tiny(input: NetworkInput, classes: number): Network {
  const net = chain(input);
  [16, 32].forEach((channels, i) => {
    net.push("conv2d", `conv${i + 1}`, convolution(channels, 3, { padding: [1, 1] }));
    net.push("batchNorm", `bn${i + 1}`, standardBatchNorm);
    net.push("relu", `relu${i + 1}`, {});
    net.push("maxPool", `pool${i + 1}`, halvingPool);
  });
  net.push("globalAvgPool", "pool", {});
  net.push("linear", "classifier", { outFeatures: classes, bias: true });
  return net.network("tiny");
}
