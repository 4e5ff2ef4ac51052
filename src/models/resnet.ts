/** ResNet-18 in its CIFAR form (He et al. 2016): a 3x3 stem without a pool, four stages of two basic blocks. */
import type { Network, NetworkInput } from "../network/network.ts";
import { type Chain, chain, convolution, square, standardBatchNorm } from "./chain.ts";

function convolveAndNormalize(net: Chain, name: string, channels: number, kernel: number, stride: number, input: string): string {
  const padding = square((kernel - 1) / 2);
  net.push("conv2d", `${name}_conv`, convolution(channels, kernel, { padding, stride: square(stride) }), [input]);
  return net.push("batchNorm", `${name}_bn`, standardBatchNorm);
}

/** Two 3x3 convolutions beside a shortcut; a 1x1 convolution on the shortcut where the shape changes. */
function basicBlock(net: Chain, name: string, channels: number, stride: number, changes: boolean): void {
  const input = net.last();
  convolveAndNormalize(net, `${name}_a`, channels, 3, stride, input);
  net.push("relu", `${name}_a_relu`, {});
  const main = convolveAndNormalize(net, `${name}_b`, channels, 3, 1, net.last());
  const shortcut = changes ? convolveAndNormalize(net, `${name}_shortcut`, channels, 1, stride, input) : input;
  net.push("add", `${name}_add`, {}, [main, shortcut]);
  net.push("relu", `${name}_relu`, {});
}

/** ResNet-18 at full width. On 32x32x3 and 10 classes: 555.4 million MACs, 11.17 million parameters. */
export function resnet18(input: NetworkInput, classes: number): Network {
  const net = chain(input);
  convolveAndNormalize(net, "stem", 64, 3, 1, "input");
  net.push("relu", "stem_relu", {});
  let previous = 64;
  [64, 128, 256, 512].forEach((channels, stage) => {
    for (const block of [1, 2]) {
      const stride = stage > 0 && block === 1 ? 2 : 1;
      basicBlock(net, `stage${stage + 1}_block${block}`, channels, stride, stride !== 1 || channels !== previous);
      previous = channels;
    }
  });
  net.push("globalAvgPool", "pool", {});
  net.push("linear", "classifier", { outFeatures: classes, bias: true });
  return net.network("resnet18");
}
