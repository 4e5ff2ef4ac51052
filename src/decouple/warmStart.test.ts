import { beforeAll, describe, expect, it } from "vitest";
import { compileInference } from "../compile/deploy.ts";
import { initialParameters } from "../compile/initialize.ts";
import { channelStatistics, type Dataset } from "../data/dataset.ts";
import { drawGlyphs, glyphClassNames, glyphShape } from "../data/glyphs.ts";
import { openMemorySamples } from "../data/samples.ts";
import { buildModel } from "../models/table.ts";
import type { Network } from "../network/network.ts";
import { writeOnnx } from "../onnx/write.ts";
import { openSession } from "../runtime/session.node.ts";
import { evaluateModel } from "../train/evaluate.ts";
import { train } from "../train/trainer.ts";
import type { Tensor } from "../util/tensor.ts";
import { activationOf } from "./planted.fixture.ts";
import { decouple, localLabel, type SubModel } from "./subModel.ts";
import { warmStarts } from "./warmStart.ts";

describe("a warm start on glyphs", () => {
  const taskSets = [
    [0, 1, 2, 3],
    [4, 5, 6, 7],
    [0, 5, 8, 9],
  ];
  let target: Network;
  let parameters: ReadonlyMap<string, Tensor>;
  let training: Dataset;
  let test: Dataset;

  function glyphs(split: "train" | "test", count: number, statistics?: Pick<Dataset, "mean" | "std">): Dataset {
    const { labels, pixels } = drawGlyphs(count, { seed: 1, split });
    const { mean, std } = statistics ?? channelStatistics(pixels, glyphShape);
    return {
      name: "glyphs",
      classNames: glyphClassNames,
      shape: glyphShape,
      labels,
      store: { type: "memory", values: pixels },
      mean,
      std,
      provenance: { source: "glyphs", sha256: "" },
    };
  }

  beforeAll(async () => {
    training = glyphs("train", 1200);
    test = glyphs("test", 400, training);
    target = buildModel("alexnet", { ...glyphShape, mean: training.mean, std: training.std }, 10, 0.25);
    const steps = train(
      {
        id: "target",
        network: target,
        dataset: training,
        samples: Uint32Array.from(training.labels.keys()),
        labels: training.labels,
        seed: 3,
        settings: {
          epochs: 14,
          batchSize: 32,
          optimizer: { type: "sgd", momentum: 0.9, nesterov: true, weightDecay: 5e-4 },
          schedule: { type: "cosine", learningRate: 0.02, warmup: 0.1 },
          labelSmoothing: 0,
          emaDecay: 0,
          augmentation: { crop: 0, flip: false, cutout: 0 },
        },
      },
      { openSession },
    );
    for (;;) {
      const { done, value } = await steps.next();
      if (!done) continue;
      parameters = value.parameters;
      break;
    }
  });

  /** Mean share of right answers over the labels of all devices, "other" among them: 1/5 by chance. */
  async function accuracy(startOf: (subModel: SubModel) => ReadonlyMap<string, Tensor>, subModels: readonly SubModel[]): Promise<number> {
    let sum = 0;
    for (const subModel of subModels) {
      const classNames = [...subModel.taskSet.map(String), "other"];
      const model = writeOnnx(compileInference(subModel.network, startOf(subModel), { classNames }), { batchAxis: "N" });
      await using session = await openSession(model);
      const local = { ...test, classNames, labels: test.labels.map((label) => localLabel(subModel.taskSet, label)) };
      const { perClass } = await evaluateModel(session, openMemorySamples(local));
      sum += perClass.reduce((a, b) => a + b, 0) / perClass.length;
    }
    return sum / subModels.length;
  }

  it("is better by activation than by position, and that better than chance", async () => {
    const subModels = decouple(
      target,
      taskSets.map((taskSet, d) => ({ device: `d${d}`, taskSet, widths: 0.6 })),
    );
    const activation = await activationOf(
      target,
      parameters,
      training,
      Uint32Array.from({ length: 600 }, (_, i) => i),
    );
    const starts = (how: Parameters<typeof warmStarts>[3]) => {
      const all = warmStarts(target, parameters, subModels, how);
      return accuracy(({ device }) => all.get(device) ?? new Map(), subModels);
    };
    const [byActivation, byPosition] = [await starts({ type: "activation", activation }), await starts({ type: "position" })];
    const drawnAnew = await accuracy(({ network }) => initialParameters(network, 1), subModels);
    expect(drawnAnew).toBeLessThan(0.25);
    expect(byActivation).toBeGreaterThan(0.4);
    expect(byActivation).toBeGreaterThan(byPosition + 0.05);
    expect(byPosition).toBeGreaterThan(drawnAnew + 0.03);
  });
});
