/** The networks that come with Sheaf, by name. */
import { narrow, type WidthFactors } from "../network/narrow.ts";
import type { Network, NetworkInput } from "../network/network.ts";
import { SheafError } from "../util/errors.ts";
import { alexnet } from "./alexnet.ts";
import { defineNetwork, type LearningRates, type NetworkDefinition } from "./definition.ts";
import { dsCnn } from "./dsCnn.ts";
import { kwsAlexnet } from "./kwsAlexnet.ts";
import { kwsVgg } from "./kwsVgg.ts";
import { resnet18 } from "./resnet.ts";
import { tiny } from "./tiny.ts";
import { type VggName, vgg } from "./vgg.ts";

/** A network that comes with Sheaf; its rates are known. */
export interface ModelEntry extends NetworkDefinition {
  readonly learningRate: LearningRates;
}

export type ModelName = "alexnet" | "vgg11" | "vgg13" | "vgg16" | "resnet18" | "kws-alexnet" | "kws-vgg" | "ds-cnn" | "tiny";

const vggOf = <N extends VggName>(name: N, title: string): ModelEntry & { readonly name: N } =>
  defineNetwork({ name, title, learningRate: { wide: 0.05, narrow: 0.1 }, build: (input, classes) => vgg(name, input, classes) });

/** The networks that come with Sheaf, images first, then keyword spotting. Each goes by its own name. */
export const models: { readonly [M in ModelName]: ModelEntry & { readonly name: M } } = {
  alexnet: defineNetwork({
    name: "alexnet",
    title: "AlexNet, CIFAR form",
    learningRate: { wide: 0.02, narrow: 0.05 },
    build: alexnet,
  }),
  vgg11: vggOf("vgg11", "VGG-11 with batch norm, CIFAR form"),
  vgg13: vggOf("vgg13", "VGG-13 with batch norm, CIFAR form"),
  vgg16: vggOf("vgg16", "VGG-16 with batch norm, CIFAR form"),
  resnet18: defineNetwork({
    name: "resnet18",
    title: "ResNet-18, CIFAR form",
    learningRate: { wide: 0.05, narrow: 0.1 },
    build: resnet18,
  }),
  "kws-alexnet": defineNetwork({
    name: "kws-alexnet",
    title: "AlexNet for keyword spotting",
    learningRate: { wide: 0.05, narrow: 0.02 },
    build: kwsAlexnet,
  }),
  "kws-vgg": defineNetwork({
    name: "kws-vgg",
    title: "VGG with batch norm for keyword spotting",
    learningRate: { wide: 0.1, narrow: 0.1 },
    build: kwsVgg,
  }),
  "ds-cnn": defineNetwork({
    name: "ds-cnn",
    title: "DS-CNN for keyword spotting, medium size",
    learningRate: { wide: 0.1, narrow: 0.2 },
    build: dsCnn,
  }),
  tiny: defineNetwork({ name: "tiny", title: "Two convolutions, for tests", learningRate: { wide: 0.1, narrow: 0.1 }, build: tiny }),
};

/**
 * A network by name, at a width. Raw values (0 to 255 of images, features of clips) go in; `input` says how they are normalized.
 * Throws `config` on an unknown name.
 */
export function buildModel(name: string, input: NetworkInput, classes: number, width: WidthFactors = 1): Network {
  if (!Object.hasOwn(models, name)) {
    throw new SheafError("config", `Unknown network "${name}"; known networks are ${Object.keys(models).join(", ")}.`);
  }
  return narrow(models[name as ModelName].build(input, classes), width);
}
