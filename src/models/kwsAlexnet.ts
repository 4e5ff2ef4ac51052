/** An AlexNet for keyword spotting: five convolutions of falling kernel sizes without batch norm, three pools, one linear layer. */
import type { Network, NetworkInput } from "../network/network.ts";
import { chain, convolution, pool, square } from "./chain.ts";

/**
 * AlexNet for features of a one-second clip, at full width. On 49x40x1 and 12 classes: 38.1 million MACs, 0.76 million parameters.
 * Pools that would leave less than one pixel of a smaller input are left out.
 */
export function kwsAlexnet(input: NetworkInput, classes: number): Network {
  const net = chain(input);
  const block = (index: number, channels: number, kernel: number, stride = 1): void => {
    const window = { padding: square((kernel - 1) / 2), stride: square(stride), bias: true };
    net.push("conv2d", `conv${index}`, convolution(channels, kernel, window));
    net.push("relu", `relu${index}`, {});
  };
  block(1, 48, 9, 2);
  pool(net, "pool1");
  block(2, 128, 5);
  pool(net, "pool2");
  block(3, 192, 3);
  block(4, 128, 3);
  block(5, 128, 3);
  pool(net, "pool3");
  net.push("flatten", "flatten", {});
  net.push("linear", "classifier", { outFeatures: classes, bias: true });
  return net.network("kws-alexnet");
}
