/** A VGG with batch norm for keyword spotting: VGG-11's first six convolutions, half as wide or less, and a global average. */
import type { Network, NetworkInput } from "../network/network.ts";
import { chain, convolution, pool, standardBatchNorm } from "./chain.ts";

/** Channels of each 3x3 convolution, `P` for a 2x2 max pool. */
const configuration = [32, "P", 64, "P", 96, 96, "P", 160, 160] as const;

/**
 * VGG for features of a one-second clip, at full width. On 49x40x1 and 12 classes: 37.1 million MACs, 0.53 million parameters.
 * Pools that would leave less than one pixel of a smaller input are left out.
 */
export function kwsVgg(input: NetworkInput, classes: number): Network {
  const net = chain(input);
  let convolutions = 0;
  let pools = 0;
  for (const item of configuration) {
    if (item === "P") {
      pools++;
      pool(net, `pool${pools}`);
      continue;
    }
    convolutions++;
    net.push("conv2d", `conv${convolutions}`, convolution(item, 3, { padding: [1, 1] }));
    net.push("batchNorm", `bn${convolutions}`, standardBatchNorm);
    net.push("relu", `relu${convolutions}`, {});
  }
  net.push("globalAvgPool", "pool", {});
  net.push("linear", "classifier", { outFeatures: classes, bias: true });
  return net.network("kws-vgg");
}
