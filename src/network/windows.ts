/** Index tables of sliding windows: which input pixel each place of each window reads. Shared by convolutions and pools. */
import { windowExtent } from "../onnx/ops.ts";
import { SheafError } from "../util/errors.ts";
import type { FeatureShape, Pair } from "./network.ts";

export interface Window {
  readonly kernel: Pair;
  readonly stride: Pair;
  readonly padding: Pair;
  readonly dilation: Pair;
}

/** Output extents of a window over a shape. Throws `network` when it does not fit. */
export function windowOutput(layer: { readonly name: string }, window: Window, input: FeatureShape): Pair {
  for (const [name, pair, least] of [
    ["kernel", window.kernel, 1],
    ["stride", window.stride, 1],
    ["padding", window.padding, 0],
    ["dilation", window.dilation, 1],
  ] as const) {
    if (pair.some((n) => !Number.isInteger(n) || n < least)) {
      throw new SheafError(
        "network",
        `Layer "${layer.name}": ${name} must be whole numbers of at least ${least}, got [${pair.join(", ")}].`,
      );
    }
  }
  const extents = ([input.height, input.width] as const).map((extent, i) =>
    windowExtent(extent, window.kernel[i] ?? 1, window.stride[i] ?? 1, 2 * (window.padding[i] ?? 0), window.dilation[i] ?? 1),
  );
  const [height = 0, width = 0] = extents;
  if (height < 1 || width < 1) {
    throw new SheafError(
      "network",
      `Layer "${layer.name}": a ${window.kernel.join("x")} window does not fit its ${input.height}x${input.width} input with padding ${window.padding.join("x")}; use a smaller kernel, more padding or fewer pools before it.`,
    );
  }
  return [height, width];
}

/** Output extents of a pool. Throws `network` also where a window would lie in the padding alone and so have no value to give. */
export function poolOutput(layer: { readonly name: string } & Omit<Window, "dilation">, input: FeatureShape): Pair {
  const output = windowOutput(layer, { ...layer, dilation: [1, 1] }, input);
  if (layer.padding.some((p, i) => p >= (layer.kernel[i] as number))) {
    throw new SheafError(
      "network",
      `Layer "${layer.name}": padding ${layer.padding.join("x")} must be less than the ${layer.kernel.join("x")} window, or some windows would hold no value; use less padding.`,
    );
  }
  return output;
}

/** Throws `network` unless a number of groups is a whole number of at least 1. */
export function checkGroups(layer: { readonly name: string; readonly groups: number }): void {
  if (!Number.isInteger(layer.groups) || layer.groups < 1) {
    throw new SheafError("network", `Layer "${layer.name}": groups must be a whole number of at least 1, got ${layer.groups}.`);
  }
}

/**
 * For every place of the kernel and every output pixel, the input pixel under it; `outside` where it lies in the padding.
 * Row-major [kernel places, output pixels].
 */
export function gatherTable(window: Window, input: FeatureShape, output: Pair, outside: number): Int32Array {
  const [kernelHeight, kernelWidth] = window.kernel;
  const [outHeight, outWidth] = output;
  const table = new Int32Array(kernelHeight * kernelWidth * outHeight * outWidth);
  let at = 0;
  for (let ky = 0; ky < kernelHeight; ky++) {
    for (let kx = 0; kx < kernelWidth; kx++) {
      for (let oy = 0; oy < outHeight; oy++) {
        const y = oy * window.stride[0] + ky * window.dilation[0] - window.padding[0];
        for (let ox = 0; ox < outWidth; ox++) {
          const x = ox * window.stride[1] + kx * window.dilation[1] - window.padding[1];
          const inside = y >= 0 && y < input.height && x >= 0 && x < input.width;
          table[at++] = inside ? y * input.width + x : outside;
        }
      }
    }
  }
  return table;
}

/**
 * The inverse of a gather table: for every kernel place and every input pixel, the output pixel whose window reads it there,
 * or `outside`. There is at most one. Row-major [kernel places, input pixels].
 */
export function scatterTable(table: Int32Array, places: number, inputPixels: number, outputPixels: number, outside: number): Int32Array {
  const inverse = new Int32Array(places * inputPixels).fill(outside);
  for (let k = 0; k < places; k++) {
    for (let o = 0; o < outputPixels; o++) {
      const pixel = table[k * outputPixels + o] as number;
      if (pixel < inputPixels) inverse[k * inputPixels + pixel] = o;
    }
  }
  return inverse;
}

/** Whether windows tile the input exactly: no overlap, no padding, nothing left over. */
export function tilesExactly(window: Window, input: FeatureShape): boolean {
  const extents = [input.height, input.width];
  return [0, 1].every(
    (i) =>
      window.kernel[i] === window.stride[i] &&
      window.padding[i] === 0 &&
      window.dilation[i] === 1 &&
      (extents[i] as number) % (window.stride[i] as number) === 0,
  );
}
