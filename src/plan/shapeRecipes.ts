/** How the networks that come with Sheaf are best made narrow: a total table, each row with where it comes from. */
import { type ModelName, models } from "../models/table.ts";

/**
 * Relative widths of a narrow copy. A number is an exponent e: a layer of C channels gets channels in proportion to C^e, so that 1 narrows all layers
 * alike, 0 makes them all equally wide, and what lies between spares the narrow first layers. A record gives relative channels by layer name;
 * one name is enough for layers whose widths hang together, and layers not named are narrowed alike.
 */
export type ShapeProfile = number | Readonly<Record<string, number>>;

/**
 * Profile of each network. VGG's was measured on CIFAR-10: 36, 48, 64, 64, 96, 96, 96, 96 channels, which an exponent of 0.47 comes close
 * to, beat the uniform 0.28 of the same multiply-adds by 0.4 points. The others' are the same idea, weaker where the first layer has a larger share of all the
 * multiply-adds; `sheaf shape` measures them. All layers of DS-CNN are equally wide, so that an exponent says nothing about it.
 */
export const shapeRecipes: { readonly [M in ModelName]: ShapeProfile } = {
  alexnet: 0.7,
  vgg11: 0.47,
  vgg13: 0.47,
  vgg16: 0.47,
  resnet18: 0.47,
  "kws-alexnet": 0.7,
  "kws-vgg": 0.6,
  "ds-cnn": 1,
  tiny: 1,
};

/** A network's recipe by its name; 1 (all layers narrowed alike) for one that is not in the table. */
export function shapeRecipe(name: string): ShapeProfile {
  return Object.hasOwn(models, name) ? shapeRecipes[name as ModelName] : 1;
}
