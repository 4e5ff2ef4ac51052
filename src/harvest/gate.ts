/** The gate that every upload passes before it may enter a global model: is this the sub-model that was asked for, with sane numbers in it? */
import type { SubModel } from "../decouple/subModel.ts";
import type { ParameterSpec } from "../network/rules.ts";
import { placeLayers } from "../network/shapes.ts";
import { SheafError } from "../util/errors.ts";
import { sameShape, type Tensor } from "../util/tensor.ts";

/** Bounds beyond which values are taken for damage or malice; weights of normal training lie orders of magnitude inside. */
export interface NormLimits {
  /** Greatest |value| of a trained parameter. */
  readonly parameterMax: number;
  /** Greatest root mean square of one trained parameter, that is its L2 norm over the square root of its size. */
  readonly parameterRms: number;
  /** Greatest |value| of a layer state (running mean or variance). */
  readonly stateMax: number;
}

/** Limits when none are given: |w| <= 1000, L2 norm of each parameter <= 30 * sqrt(its size), |running statistic| <= 1e6. */
export const defaultNormLimits: NormLimits = { parameterMax: 1000, parameterRms: 30, stateMax: 1e6 };

const shapeText = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

/** The reason why a tensor is refused, if any; a clause that follows its name. */
function fault(spec: ParameterSpec, value: Tensor, limits: NormLimits): string | undefined {
  if (value.dtype !== "float32") return `must be float32, got ${value.dtype}`;
  if (!sameShape(spec.shape, value.shape)) return `must have shape ${shapeText(spec.shape)}, got ${shapeText(value.shape)}`;
  const data = value.data as Float32Array;
  let largest = 0;
  let squares = 0;
  for (let i = 0; i < data.length; i++) {
    const v = data[i] as number;
    if (!Number.isFinite(v)) return `has a value that is not finite (${v} at place ${i} of ${data.length})`;
    if (spec.name === "running_var" && v < 0) return `is a variance and has a negative value (${v} at place ${i})`;
    largest = Math.max(largest, Math.abs(v));
    squares += v * v;
  }
  const max = spec.role === "state" ? limits.stateMax : limits.parameterMax;
  if (largest > max) return `has a value of magnitude ${largest.toPrecision(4)}, above the limit of ${max}`;
  const rms = Math.sqrt(squares / data.length);
  if (spec.role === "parameter" && rms > limits.parameterRms) {
    return `has an L2 norm of ${Math.sqrt(squares).toPrecision(4)}, above the limit of ${(limits.parameterRms * Math.sqrt(data.length)).toPrecision(4)} for its size`;
  }
  return undefined;
}

/**
 * Accepts a harvest or refuses it: exactly the sub-model's parameter names, float32, the right shapes, finite values, no negative variance,
 * values and norms within `limits`. Returns the tensors in the sub-model's order.
 * Throws `corrupt` with the first reason, in one sentence that names the device.
 */
export function inspectHarvest(
  subModel: SubModel,
  tensors: ReadonlyMap<string, Tensor>,
  limits: NormLimits = defaultNormLimits,
): Map<string, Tensor> {
  const refuse = (reason: string): never => {
    throw new SheafError(
      "corrupt",
      `The harvest of device "${subModel.device}" is refused: ${reason}; have the device train and upload again.`,
    );
  };
  const accepted = new Map<string, Tensor>();
  for (const { layer, parameters } of placeLayers(subModel.network)) {
    for (const spec of parameters) {
      const name = `${layer.name}.${spec.name}`;
      const value = tensors.get(name);
      if (!value) return refuse(`parameter "${name}" is missing`);
      const reason = fault(spec, value, limits);
      if (reason) refuse(`parameter "${name}" ${reason}`);
      accepted.set(name, value);
    }
  }
  for (const name of tensors.keys()) {
    if (!accepted.has(name)) refuse(`its sub-model has no parameter "${name}"`);
  }
  return accepted;
}
