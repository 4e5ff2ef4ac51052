/** Files of other tools in test/fixtures/import/, made by test/reference/exportModels.py; the judge is ONNX Runtime on the original. */
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { randomBatch } from "../../test/support/batches.ts";
import { trainSteps } from "../../test/support/trainingLoop.ts";
import { compileTraining, initialState } from "../compile/training.ts";
import { narrow } from "../network/narrow.ts";
import { networkCost, outputShape, placeLayers } from "../network/shapes.ts";
import { agrees, checkImport } from "../run/importFile.ts";
import { SheafError } from "../util/errors.ts";
import { type ImportOptions, importNetwork } from "./importNetwork.ts";

const folder = "test/fixtures/import";
const fixture = (name: string): Uint8Array => readFileSync(`${folder}/${name}.onnx`);
const read = (name: string, options: ImportOptions = {}) => importNetwork(fixture(name), { what: `${name}.onnx`, ...options });
const refusal = (bytes: Uint8Array, options: ImportOptions = {}): SheafError => {
  try {
    importNetwork(bytes, { what: "model.onnx", ...options });
  } catch (error) {
    if (error instanceof SheafError) return error;
    throw error;
  }
  throw new Error("Nothing was thrown.");
};

/** How many layers of each type a file becomes. */
const layerCounts = (name: string, options: ImportOptions = {}): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { type } of read(name, options).network.layers) counts[type] = (counts[type] ?? 0) + 1;
  return counts;
};

const input = { channels: 3, height: 20, width: 20 };
const options: Readonly<Record<string, ImportOptions>> = { "resnet-opset17": { input } };
const names = readdirSync(folder).map((file) => file.replace(/\.onnx$/, ""));
const readable = names.filter((name) => !/^(refused|external)/.test(name));

describe("importNetwork", () => {
  test("has files of every kind to read", () => {
    expect(readable.length).toBe(12);
  });

  for (const name of readable) {
    test(`gives the outputs of ${name}`, async () => {
      const imported = read(name, options[name]);
      const check = await checkImport(fixture(name), imported);
      expect(check.maxOutput).toBeGreaterThan(0.05);
      expect(check.maxDifference).toBeLessThanOrEqual(1e-6 * Math.max(1, check.maxOutput));
      expect(agrees(check)).toBe(true);
    });
  }

  test("finds a wrong weight in the check", async () => {
    const imported = read("mobilenet-relu6-opset13");
    const [first] = imported.parameters.values();
    if (!first) throw new Error("no weights");
    first.data[0] = (first.data[0] as number) + 0.5;
    expect(agrees(await checkImport(fixture("mobilenet-relu6-opset13"), imported))).toBe(false);
  });

  test("makes the layers that were meant", () => {
    expect(layerCounts("resnet-opset9-unfolded")).toEqual({
      conv2d: 6,
      batchNorm: 6,
      relu: 5,
      zeroPad: 1,
      maxPool: 1,
      add: 2,
      globalAvgPool: 1,
      linear: 1,
    });
    expect(layerCounts("mobilenet-relu6-opset9")).toEqual({ conv2d: 5, clip: 3, add: 1, leakyRelu: 1, globalAvgPool: 1, linear: 1 });
    expect(layerCounts("mobilenet-hardswish-opset11")).toEqual({
      conv2d: 5,
      hardSwish: 3,
      add: 1,
      leakyRelu: 1,
      globalAvgPool: 1,
      linear: 1,
    });
    expect(layerCounts("hardswish-opset18")).toEqual({ conv2d: 1, hardSwish: 3, globalAvgPool: 1, linear: 1 });
    expect(layerCounts("channels-last-opset13")).toEqual({ zeroPad: 1, conv2d: 1, relu: 1, flatten: 1, clip: 1, linear: 1 });
  });

  test("calls layers as their tool did", () => {
    const of = (name: string): string[] => read(name).network.layers.map((l) => l.name);
    expect(of("resnet-opset11").slice(0, 4)).toEqual(["stem_0", "stem_2", "pool", "pool_2"]);
    expect(of("resnet-opset9-unfolded")).toContain("layer2_shortcut_0");
    expect(of("channels-last-opset13").at(-1)).toBe("model_dense");
  });

  test("takes the normalization at the start for the network's own, and the user's before it", async () => {
    const [r = 0, g = 0] = read("mobilenet-relu6-opset13").network.input.mean;
    expect(r).toBeCloseTo(125.3, 4);
    expect(g).toBeCloseTo(123, 4);
    expect(read("mobilenet-relu6-opset13").network.input.std[2]).toBeCloseTo(66.7, 4);
    const prepared = { mean: [1, 2, 3], std: [0.5, 2, 4] };
    const imported = read("mobilenet-relu6-opset13", prepared);
    expect(imported.network.input.mean[0]).toBeCloseTo(1 + 0.5 * 125.3, 3);
    expect(agrees(await checkImport(fixture("mobilenet-relu6-opset13"), imported, prepared))).toBe(true);
    expect(refusal(fixture("mobilenet-relu6-opset13"), { std: [1, 2] }).message).toMatch(
      /--std needs one positive number for each of the 3 channels, got 1,2/,
    );
  });

  test("keeps weights exactly", () => {
    const { parameters } = read("resnet-opset9-unfolded");
    const again = read("resnet-opset9-unfolded").parameters;
    for (const [key, value] of parameters) expect(again.get(key)?.data).toEqual(value.data);
    // Read by its bytes: the file holds the first convolution's weights as they are in the network.
    const { data } = parameters.get("stem_0.weight") as { data: Float32Array };
    expect(
      Buffer.from(fixture("resnet-opset9-unfolded")).indexOf(Buffer.from(data.buffer, data.byteOffset, data.byteLength)),
    ).toBeGreaterThan(0);
  });

  test("names every node that it cannot read", () => {
    const error = refusal(fixture("refused-opset12"));
    expect(error.code).toBe("network");
    expect(error.message).toMatch(
      /^model\.onnx cannot be imported: 3 of its 8 nodes cannot be read: node "lrn" \(LRN\) is an operator that Sheaf does not read; node "excite" \(Mul\) multiplies two activations; Sheaf has no such layer; node "tanh" \(Tanh\) is an operator that Sheaf does not read\. Operators it reads: Conv, MaxPool,/,
    );
  });

  test("asks for extents that the file leaves open, and refuses those that do not fit", () => {
    expect(refusal(fixture("resnet-opset17")).message).toMatch(
      /its input "input" is \[batch, 3, height, width\]: "height" is left open; say what goes in with --input CxHxW/,
    );
    expect(refusal(fixture("resnet-opset17"), { input: { ...input, channels: 1 } }).message).toMatch(/which 1x20x20 does not fit/);
    expect(read("resnet-opset17", { input }).network.input.height).toBe(20);
  });

  test("refuses what is no model", () => {
    expect(refusal(new TextEncoder().encode("<!doctype html>")).code).toBe("corrupt");
    expect(refusal(new Uint8Array()).code).toBe("corrupt");
  });
});

describe("changed bytes", () => {
  for (const name of ["old-opset7", "channels-last-opset13", "hardswish-opset18"]) {
    test(`of ${name} give a network or an error that says what is wrong`, () => {
      const bytes = fixture(name);
      const change = fc.tuple(fc.nat(bytes.length - 1), fc.nat(255));
      fc.assert(
        fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
          const changed = Uint8Array.from(bytes);
          for (const [at, value] of changes) changed[at] = value;
          try {
            const { network } = importNetwork(changed);
            placeLayers(network);
          } catch (error) {
            expect(error, String(error)).toBeInstanceOf(SheafError);
            expect(["corrupt", "network"]).toContain((error as SheafError).code);
          }
        }),
        { seed: 6, numRuns: 1500 },
      );
    });
  }
});

describe("an imported network", () => {
  for (const name of ["mobilenet-hardswish-opset17", "resnet-opset11", "inception-opset13", "channels-last-opset13"]) {
    test(`of ${name} trains and becomes narrow`, async () => {
      const { network, parameters } = read(name, options[name]);
      const optimizer = { type: "sgd", momentum: 0.9, nesterov: true, weightDecay: 5e-4 } as const;
      const program = compileTraining(network, { batchSize: 4, optimizer });
      const start = new Map([...initialState(program, 1), ...parameters]);
      const { losses, state } = await trainSteps(program, 2, () => randomBatch(program, 3, 0.01), start);
      expect(losses.every(Number.isFinite)).toBe(true);
      expect(losses[1]).not.toBe(losses[0]);
      for (const key of parameters.keys()) expect(state.has(key), key).toBe(true);
      const slim = narrow(network, 0.5, 3);
      expect(outputShape(slim).channels).toBe(3);
      expect(networkCost(slim).macs).toBeLessThan(0.6 * networkCost(network).macs);
      expect(placeLayers(slim)).toHaveLength(network.layers.length);
    });
  }
});
