/** The door `sheaf/models`: the networks that come with Sheaf. */
export { alexnet } from "./models/alexnet.ts";
export { type Chain, chain, convolution, halvingPool, pool, square, standardBatchNorm } from "./models/chain.ts";
export { defineNetwork, type LearningRates, type NetworkDefinition } from "./models/definition.ts";
export { dsCnn } from "./models/dsCnn.ts";
export { kwsAlexnet } from "./models/kwsAlexnet.ts";
export { kwsVgg } from "./models/kwsVgg.ts";
export { resnet18 } from "./models/resnet.ts";
export { buildModel, type ModelEntry, type ModelName, models } from "./models/table.ts";
export { tiny } from "./models/tiny.ts";
export { type VggName, vgg } from "./models/vgg.ts";
