/** The door `sheaf/models`: the networks that come with Sheaf. */
export { alexnet } from "./models/alexnet.ts";
export { type Chain, chain, convolution, halvingPool, square, standardBatchNorm } from "./models/chain.ts";
export { resnet18 } from "./models/resnet.ts";
export { buildModel, type ModelEntry, type ModelName, models } from "./models/table.ts";
export { tiny } from "./models/tiny.ts";
export { type VggName, vgg } from "./models/vgg.ts";
