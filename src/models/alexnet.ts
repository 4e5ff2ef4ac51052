/** AlexNet in its CIFAR form (Krizhevsky 2012; five convolutions without batch norm, one linear layer). */
import type { Network, NetworkInput } from "../network/network.ts";
import { chain, convolution, halvingPool, square } from "./chain.ts";

/** AlexNet at full width. On 32x32x3 and 10 classes: 15.0 million MACs, 2.47 million parameters. */
export function alexnet(input: NetworkInput, classes: number): Network {
  const net = chain(input);
  const block = (index: number, channels: number, kernel: number, padding: number, stride = 1): void => {
    net.push("conv2d", `conv${index}`, convolution(channels, kernel, { padding: square(padding), stride: square(stride), bias: true }));
    net.push("relu", `relu${index}`, {});
  };
  block(1, 64, 11, 5, 4);
  net.push("maxPool", "pool1", halvingPool);
  block(2, 192, 5, 2);
  net.push("maxPool", "pool2", halvingPool);
  block(3, 384, 3, 1);
  block(4, 256, 3, 1);
  block(5, 256, 3, 1);
  net.push("maxPool", "pool3", halvingPool);
  net.push("flatten", "flatten", {});
  net.push("linear", "classifier", { outFeatures: classes, bias: true });
  return net.network("alexnet");
}
