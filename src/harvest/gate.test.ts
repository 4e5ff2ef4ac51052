import { describe, expect, it } from "vitest";
import { SheafError } from "../util/errors.ts";
import type { Tensor } from "../util/tensor.ts";
import { inspectHarvest } from "./gate.ts";
import { untrained } from "./parts.fixture.ts";

const [{ subModel, parameters } = untrained()[0]!] = untrained();
const names = [...parameters.keys()];
const weight = names.find((name) => name.endsWith(".weight")) as string;
const variance = names.find((name) => name.endsWith("running_var")) as string;

/** The upload with one tensor changed. */
function changed(name: string, change: (value: Tensor) => Tensor): Map<string, Tensor> {
  return new Map(parameters).set(name, change(parameters.get(name) as Tensor));
}
/** The tensor with its first value replaced, or all of them. */
const filled =
  (value: number, all = false) =>
  (tensor: Tensor): Tensor => {
    const data = Float32Array.from(tensor.data as Float32Array);
    return { dtype: "float32", shape: tensor.shape, data: all ? data.fill(value) : data.fill(value, 0, 1) };
  };

describe("the gate", () => {
  it("accepts a whole harvest and returns it in the sub-model's order", () => {
    const shuffled = new Map([...parameters].reverse());
    expect([...inspectHarvest(subModel, shuffled).keys()]).toEqual(names);
  });

  it.each([
    ["a missing tensor", new Map([...parameters].slice(1)), `parameter "${names[0]}" is missing`],
    ["a foreign tensor", new Map(parameters).set("conv9.weight", parameters.get(weight) as Tensor), 'has no parameter "conv9.weight"'],
    ["another shape", changed(weight, (t) => ({ ...t, shape: [t.data.length] })), "must have shape"],
    [
      "another type",
      changed(weight, (t) => ({ dtype: "float64", shape: t.shape, data: new Float64Array(t.data.length) })),
      "must be float32, got float64",
    ],
    ["NaN", changed(weight, filled(Number.NaN)), "not finite (NaN at place 0"],
    ["infinity", changed(weight, filled(-Infinity)), "not finite (-Infinity at place 0"],
    ["a negative variance", changed(variance, filled(-0.5)), "negative value"],
    ["one huge value", changed(weight, filled(1e4)), "above the limit of 1000"],
    ["a huge norm", changed(weight, filled(100, true)), "L2 norm"],
    ["a huge running statistic", changed(variance, filled(1e7)), "above the limit of 1000000"],
  ])("refuses %s in one sentence", (_, tensors, reason) => {
    let error: unknown;
    try {
      inspectHarvest(subModel, tensors);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(SheafError);
    const { code, message } = error as SheafError;
    expect(code).toBe("corrupt");
    expect(message).toContain('The harvest of device "phone" is refused:');
    expect(message).toContain(reason);
    expect(message.match(/\.(\s|$)/g)).toHaveLength(1);
  });

  it("takes other limits", () => {
    expect(() => inspectHarvest(subModel, parameters, { parameterMax: 1e-9, parameterRms: 1, stateMax: 1 })).toThrow(
      /above the limit of 1e-9/,
    );
  });
});
