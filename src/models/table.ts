/** The networks that come with Sheaf, by name. */
import { narrow, type WidthFactors } from "../network/narrow.ts";
import type { Network, NetworkInput } from "../network/network.ts";
import { SheafError } from "../util/errors.ts";
import { alexnet } from "./alexnet.ts";
import { resnet18 } from "./resnet.ts";
import { tiny } from "./tiny.ts";
import { vgg } from "./vgg.ts";

export interface ModelEntry {
  readonly title: string;
  /**
   * Peak learning rates for SGD with momentum 0.9 and batches of 64 when nothing else is asked for: of the network at half to
   * full width, and of its narrow sub-models, which bear a higher rate.
   */
  readonly learningRate: { readonly wide: number; readonly narrow: number };
  build(input: NetworkInput, classes: number): Network;
}

export type ModelName = "alexnet" | "vgg11" | "vgg13" | "vgg16" | "resnet18" | "tiny";

export const models: { readonly [M in ModelName]: ModelEntry } = {
  alexnet: { title: "AlexNet, CIFAR form", learningRate: { wide: 0.02, narrow: 0.05 }, build: alexnet },
  vgg11: {
    title: "VGG-11 with batch norm, CIFAR form",
    learningRate: { wide: 0.05, narrow: 0.1 },
    build: (input, classes) => vgg("vgg11", input, classes),
  },
  vgg13: {
    title: "VGG-13 with batch norm, CIFAR form",
    learningRate: { wide: 0.05, narrow: 0.1 },
    build: (input, classes) => vgg("vgg13", input, classes),
  },
  vgg16: {
    title: "VGG-16 with batch norm, CIFAR form",
    learningRate: { wide: 0.05, narrow: 0.1 },
    build: (input, classes) => vgg("vgg16", input, classes),
  },
  resnet18: { title: "ResNet-18, CIFAR form", learningRate: { wide: 0.05, narrow: 0.1 }, build: resnet18 },
  tiny: { title: "Two convolutions, for tests", learningRate: { wide: 0.1, narrow: 0.1 }, build: tiny },
};

/**
 * A network by name, at a width. Raw values 0 to 255 go in; `input` says how they are normalized.
 * Throws `config` on an unknown name.
 */
export function buildModel(name: string, input: NetworkInput, classes: number, width: WidthFactors = 1): Network {
  if (!Object.hasOwn(models, name)) {
    throw new SheafError("config", `Unknown network "${name}"; known networks are ${Object.keys(models).join(", ")}.`);
  }
  return narrow(models[name as ModelName].build(input, classes), width);
}
