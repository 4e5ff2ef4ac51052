// A network in one file. Any command takes it by its path:
//   sheaf cost --network examples/network.ts --data-set glyphs
//   sheaf run --network examples/network.ts --data-set glyphs --epochs 3
import { chain, convolution, defineNetwork, halvingPool, square, standardBatchNorm } from "sheaf/models";

export default defineNetwork({
  name: "two-scales",
  title: "Small, with a residual sum",
  learningRate: { wide: 0.05, narrow: 0.1 },
  // `input` is a sample's shape and normalization; the last layer gives one logit a class. Sheaf makes it narrower by itself.
  build(input, classes) {
    const net = chain(input);
    net.push("conv2d", "stem", convolution(16, 3, { padding: square(1) }));
    net.push("batchNorm", "stem_bn", standardBatchNorm);
    net.push("relu", "stem_relu", {});
    net.push("maxPool", "halve", halvingPool);
    net.push("conv2d", "inner", convolution(16, 3, { padding: square(1) }));
    net.push("batchNorm", "inner_bn", standardBatchNorm);
    net.push("add", "residual", {}, ["inner_bn", "halve"]);
    net.push("relu", "residual_relu", {});
    net.push("globalAvgPool", "pool", {});
    net.push("linear", "classifier", { outFeatures: classes, bias: true });
    return net.network("two-scales");
  },
});
