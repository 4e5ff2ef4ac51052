/** Progressive image size: the first epochs on smaller images. Which epochs, and what a network looks like there. Pure. */
import { rulesOf } from "../network/layers/table.ts";
import { type FeatureShape, inputName, type Layer, type Network } from "../network/network.ts";
import { placeLayers } from "../network/shapes.ts";
import { windowExtent } from "../onnx/ops.ts";
import { SheafError } from "../util/errors.ts";

/** The first part of a training on smaller images. */
export interface Progressive {
  /** Height and width of the smaller images as a share of the whole ones', between 0 and 1. */
  readonly scale: number;
  /** Share of the epochs that see them, between 0 and 1; rounded to whole epochs, the last epoch always sees whole images. */
  readonly epochs: number;
}

/** Throws `config` for a scale or share out of range. */
export function checkProgressive({ scale, epochs }: Progressive): void {
  for (const [name, value] of Object.entries({ scale, epochs })) {
    if (!(value > 0 && value < 1)) throw new SheafError("config", `progressive.${name} must lie between 0 and 1, got ${value}.`);
  }
}

/** How many of `epochs` epochs see smaller images: none without `progressive`. */
export function smallEpochs(progressive: Progressive | undefined, epochs: number): number {
  return progressive ? Math.max(0, Math.min(epochs - 1, Math.round(progressive.epochs * epochs))) : 0;
}

const extent = (whole: number, scale: number): number => Math.max(1, Math.round(scale * whole));

/** Whether every window of a pool lies on its input, padding included. */
function poolFits({ kernel, stride, padding }: Layer<"maxPool" | "avgPool">, input: FeatureShape): boolean {
  return [input.height, input.width].every((size, i) => windowExtent(size, kernel[i] ?? 1, stride[i] ?? 1, 2 * (padding[i] ?? 0), 1) >= 1);
}

/** Layers as they are read at the smaller size: pools that no longer fit are left out, and what read them reads what they read. */
function layersAt(network: Network, input: FeatureShape): readonly Layer[] {
  const shapes = new Map<string, FeatureShape>([[inputName, input]]);
  const standIns = new Map<string, string>();
  const layers: Layer[] = [];
  for (const original of network.layers) {
    const layer: Layer = { ...original, inputs: original.inputs.map((name) => standIns.get(name) ?? name) };
    const inputs = layer.inputs.map((name) => shapes.get(name) as FeatureShape);
    if ((layer.type === "maxPool" || layer.type === "avgPool") && !poolFits(layer, inputs[0] as FeatureShape)) {
      standIns.set(layer.name, layer.inputs[0] as string);
      continue;
    }
    shapes.set(layer.name, rulesOf(layer).outputShape(layer, inputs));
    layers.push(layer);
  }
  return layers;
}

/**
 * `network` for images of `scale` times its height and width, rounded: the same layers with the same parameters, but that a pool whose window no longer fits
 * is left out. A global average, or pools down to one pixel, make the last layers' parameters hang on the size no more.
 * Throws `config` where some layer would need parameters of another shape, or does not fit at all.
 */
export function shrunk(network: Network, scale: number): Network {
  const { height, width } = network.input;
  const input = { ...network.input, height: extent(height, scale), width: extent(width, scale) };
  const sizes = `${input.height}x${input.width} instead of ${height}x${width}`;
  const refuse = (reason: string, cause?: unknown): SheafError =>
    new SheafError(
      "config",
      `training.progressive.scale is ${scale}, but network "${network.name}" cannot be trained on images of ${sizes}: ${reason}; choose a larger scale, a network that ends in a global average, or leave training.progressive out.`,
      { cause },
    );
  let small: Network;
  try {
    small = { ...network, input, layers: layersAt(network, input) };
    const found = new Map(placeLayers(small).map(({ layer, parameters }) => [layer.name, parameters]));
    for (const { layer, parameters } of placeLayers(network)) {
      for (const [i, { name, shape }] of parameters.entries()) {
        const there = found.get(layer.name)?.[i]?.shape ?? [];
        if (there.join() !== shape.join())
          throw refuse(`${layer.name}.${name} would be [${there.join(", ")}] instead of [${shape.join(", ")}]`);
      }
    }
  } catch (error) {
    if (!(error instanceof SheafError && error.code === "network")) throw error;
    throw refuse(error.message.replace(/\.$/, ""), error);
  }
  return small;
}
