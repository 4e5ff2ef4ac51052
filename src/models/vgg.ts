/** VGG with batch norm in its CIFAR form (Simonyan and Zisserman 2015; one linear layer after a global average). */
import type { Layer, Network, NetworkInput } from "../network/network.ts";

/** Channels of each 3x3 convolution, `P` for a 2x2 max pool. */
const configurations = {
  vgg11: [64, "P", 128, "P", 256, 256, "P", 512, 512, "P", 512, 512, "P"],
  vgg13: [64, 64, "P", 128, 128, "P", 256, 256, "P", 512, 512, "P", 512, 512, "P"],
  vgg16: [64, 64, "P", 128, 128, "P", 256, 256, 256, "P", 512, 512, 512, "P", 512, 512, 512, "P"],
} as const;

export type VggName = keyof typeof configurations;

/** A VGG at full width. On 32x32x3 and 10 classes: 152.8, 228.3 and 313.2 million MACs; 9.23, 9.42 and 14.73 million parameters. */
export function vgg(name: VggName, input: NetworkInput, classes: number): Network {
  const layers: Layer[] = [];
  let previous = "input";
  let convs = 0;
  let pools = 0;
  const push = (layer: Layer): void => {
    layers.push(layer);
    previous = layer.name;
  };
  for (const item of configurations[name]) {
    if (item === "P") {
      pools++;
      push({ type: "maxPool", name: `pool${pools}`, inputs: [previous], kernel: [2, 2], stride: [2, 2], padding: [0, 0] });
      continue;
    }
    convs++;
    push({
      type: "conv2d",
      name: `conv${convs}`,
      inputs: [previous],
      outChannels: item,
      kernel: [3, 3],
      stride: [1, 1],
      padding: [1, 1],
      dilation: [1, 1],
      groups: 1,
      bias: false,
    });
    push({ type: "batchNorm", name: `bn${convs}`, inputs: [previous], epsilon: 1e-5, momentum: 0.1 });
    push({ type: "relu", name: `relu${convs}`, inputs: [previous] });
  }
  push({ type: "globalAvgPool", name: "pool", inputs: [previous] });
  push({ type: "linear", name: "classifier", inputs: [previous], outFeatures: classes, bias: true });
  return { name, input, layers };
}
