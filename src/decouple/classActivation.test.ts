import { describe, expect, it } from "vitest";
import { flatten, inputOf, linear, networkOf } from "../../test/support/networks.ts";
import { compileActivations, firingPoints } from "../compile/activations.ts";
import { buildModel } from "../models/table.ts";
import { floats } from "../util/tensor.ts";
import { filterChooser } from "./chooseFilters.ts";
import type { ClassActivation } from "./classActivation.ts";
import { activationOf, part, planted, plantedParameters, plantedSamples, tangled } from "./planted.fixture.ts";
import { decouple } from "./subModel.ts";

describe("class activation", () => {
  const all = Array.from({ length: 40 }, (_, i) => i);

  it("is each class's mean of what filters give after normalization and activation function", async () => {
    const { layers, counts, samples } = await activationOf(planted, plantedParameters(), plantedSamples(), all.slice(0, 38));
    expect([counts, samples]).toEqual([[10, 10, 9, 9], 38]);
    for (let c = 0; c < 4; c++) {
      for (let f = 0; f < 8; f++) {
        expect(layers.a?.data[c * 8 + f]).toBeCloseTo(f % 4 === c ? 100 + f : 0, 3);
        const read = 7 - f;
        expect(layers.b?.data[c * 8 + f]).toBeCloseTo(read % 4 === c ? (1 + f / 100) * (100 + read) : 0, 1);
      }
    }
  });

  it("does not depend on the batch size", async () => {
    const [one, other] = await Promise.all([7, 40].map((size) => activationOf(planted, plantedParameters(), plantedSamples(), all, size)));
    expect(one).toEqual(other);
  });

  it("is read after the activation function that follows, or where the way forks", () => {
    const resnet = firingPoints(buildModel("resnet18", inputOf(3, 32, 32), 10, 0.1));
    expect(resnet.get("stem_conv")).toBe("stem_relu");
    expect(resnet.get("stage1_block1_a_conv")).toBe("stage1_block1_a_relu");
    expect(resnet.get("stage1_block1_b_conv")).toBe("stage1_block1_relu");
    expect(resnet.has("classifier")).toBe(false);
    expect(Object.fromEntries(firingPoints(tangled(3)))).toEqual({ a: "a", b: "sum", grouped: "gn", hidden: "relu" });
  });

  it("refuses samples that do not fit, and a target that is broken", async () => {
    const parameters = plantedParameters();
    await expect(activationOf(planted, parameters, plantedSamples(), [])).rejects.toThrow(/needs samples of planted, got none/);
    const labels = new Uint16Array(40).fill(4);
    await expect(activationOf(planted, parameters, { ...plantedSamples(), labels }, all)).rejects.toThrow(
      /label 4, but the classes are 0 to 3/,
    );
    const broken = new Map(parameters).set("b.weight", floats("float32", [8, 8, 1, 1], Array(64).fill(Number.NaN)));
    await expect(activationOf(planted, broken, plantedSamples(), all)).rejects.toThrow(
      /Layer "b" of the target gives values that are not finite/,
    );
    expect(() => compileActivations(networkOf(inputOf(1, 2, 2), [flatten("f"), linear("l", 3)]), new Map())).toThrow(
      /no layer whose width is free/,
    );
  });

  it("gives each device the filters that fire for its classes", async () => {
    const activation = await activationOf(planted, plantedParameters(), plantedSamples(), all);
    for (let c = 0; c < 4; c++) {
      const choice = filterChooser(planted, { type: "activation", activation })(part(planted, [c], 0.25));
      expect([...(choice.a ?? [])].map((f) => f % 4)).toEqual([c, c]);
      expect([...(choice.b ?? [])].map((f) => (7 - f) % 4)).toEqual([c, c]);
    }
    const two = filterChooser(planted, { type: "activation", activation })(part(planted, [1, 2], 0.5));
    expect([...(two.a ?? [])]).toEqual([1, 2, 5, 6]);
  });

  it("lets later devices take what earlier ones left, of equals", () => {
    const even: ClassActivation = {
      layers: { a: floats("float64", [4, 8], Array(32).fill(1)), b: floats("float64", [4, 8], Array(32).fill(1)) },
      counts: [1, 1, 1, 1],
      samples: 4,
    };
    const subModels = decouple(
      planted,
      [0, 1, 2, 3].map((c) => ({ device: `d${c}`, taskSet: [c], widths: 0.25 })),
    );
    const choices = subModels.map(filterChooser(planted, { type: "activation", activation: even }));
    expect(choices.flatMap(({ a }) => [...(a ?? [])])).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });
});
