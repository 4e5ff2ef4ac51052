import { describe, expect, it } from "vitest";
import { toyDataset } from "../../test/fixtures/toyJob.ts";
import { openMemorySamples } from "../data/samples.ts";
import { GraphBuilder } from "../onnx/builder.ts";
import { writeOnnx } from "../onnx/write.ts";
import { openSession } from "../runtime/session.node.ts";
import { floats } from "../util/tensor.ts";
import { evaluateModel, scorePredictions } from "./evaluate.ts";

/** Logits by hand: brightness of the left half, of the top half, and a constant between. */
function handMadeModel(): Uint8Array {
  const b = new GraphBuilder();
  const image = b.input("image", "float32", [1, 1, 8, 8]);
  const weight = new Float32Array(64 * 3);
  for (let p = 0; p < 64; p++) {
    weight[p * 3] = p % 8 < 4 ? 1 : -1;
    weight[p * 3 + 1] = p < 32 ? 1 : -1;
  }
  const flat = b.reshape(image, [-1, 64]);
  b.output("logits", b.add(b.matMul(flat, b.constant(floats("float32", [64, 3], weight))), b.float("float32", [0, 0, 900])));
  return writeOnnx(b.build("by hand"), { batchAxis: "N" });
}

describe("evaluateModel", () => {
  it("gives the same predictions whatever the batch size, in the data's order", async () => {
    await using session = await openSession(handMadeModel());
    const dataset = toyDataset(50);
    const whole = await evaluateModel(session, openMemorySamples(dataset));
    expect(whole.accuracy).toBe(1);
    expect([...whole.predictions]).toEqual([...dataset.labels]);
    for (const batchSize of [1, 7, 50]) expect(await evaluateModel(session, openMemorySamples(dataset), { batchSize })).toEqual(whole);
  });

  it("refuses another model, and other classes", async () => {
    await using session = await openSession(handMadeModel());
    const twoClasses = { ...toyDataset(4), classNames: ["a", "b"] };
    await expect(evaluateModel(session, openMemorySamples(twoClasses))).rejects.toMatchObject({
      code: "corrupt",
      message: expect.stringMatching(/toy has 2 classes/),
    });
    const b = new GraphBuilder();
    const x = b.input("x", "float32", [1]);
    b.output("y", b.add(x, x));
    await using other = await openSession(writeOnnx(b.build("other")));
    await expect(evaluateModel(other, openMemorySamples(toyDataset(4)))).rejects.toThrow(/inputs x and outputs y/);
    await expect(evaluateModel(session, openMemorySamples(toyDataset(4)), { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "interrupted",
    });
  });
});

describe("scorePredictions", () => {
  it("counts rows by truth and columns by prediction", () => {
    expect(scorePredictions([0, 1, 1, 0], [0, 0, 1, 0], 3)).toEqual({
      accuracy: 0.75,
      // Of the two classes that have samples.
      balancedAccuracy: (2 / 3 + 1) / 2,
      perClass: [2 / 3, 1, 0],
      confusion: [
        [2, 1, 0],
        [0, 1, 0],
        [0, 0, 0],
      ],
    });
    expect(scorePredictions([], [], 2).accuracy).toBe(0);
  });

  it("refuses what cannot be counted", () => {
    expect(() => scorePredictions([0], [], 1)).toThrow(/1 predictions/);
    expect(() => scorePredictions([2], [0], 2)).toThrow(/Sample 0 has class 0 and prediction 2/);
  });
});
