/** VGG with batch norm in its CIFAR form (Simonyan and Zisserman 2015; one linear layer after a global average). */
import type { Network, NetworkInput } from "../network/network.ts";
import { chain, convolution, halvingPool, standardBatchNorm } from "./chain.ts";

/** Channels of each 3x3 convolution, `P` for a 2x2 max pool. */
const configurations = {
  vgg11: [64, "P", 128, "P", 256, 256, "P", 512, 512, "P", 512, 512, "P"],
  vgg13: [64, 64, "P", 128, 128, "P", 256, 256, "P", 512, 512, "P", 512, 512, "P"],
  vgg16: [64, 64, "P", 128, 128, "P", 256, 256, 256, "P", 512, 512, 512, "P", 512, 512, 512, "P"],
} as const;

export type VggName = keyof typeof configurations;

/**
 * A VGG at full width. On 32x32x3 and 10 classes: 152.8, 228.3 and 313.2 million MACs; 9.23, 9.41 and 14.72 million
 * parameters; no convolution has a bias, since batch norm takes it away again. Pools that would leave less than one pixel of a smaller image are left out.
 */
export function vgg(name: VggName, input: NetworkInput, classes: number): Network {
  const net = chain(input);
  let convolutions = 0;
  let pools = 0;
  let extent = Math.min(input.height, input.width);
  for (const item of configurations[name]) {
    if (item === "P") {
      if (extent < 2) continue;
      extent = Math.floor(extent / 2);
      pools++;
      net.push("maxPool", `pool${pools}`, halvingPool);
      continue;
    }
    convolutions++;
    net.push("conv2d", `conv${convolutions}`, convolution(item, 3, { padding: [1, 1] }));
    net.push("batchNorm", `bn${convolutions}`, standardBatchNorm);
    net.push("relu", `relu${convolutions}`, {});
  }
  net.push("globalAvgPool", "pool", {});
  net.push("linear", "classifier", { outFeatures: classes, bias: true });
  return net.network(name);
}
