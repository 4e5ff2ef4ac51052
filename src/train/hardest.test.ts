import { describe, expect, it } from "vitest";
import { bitsOf, toyDataset, toyJob } from "../../test/fixtures/toyJob.ts";
import { initialParameters } from "../compile/initialize.ts";
import { openMemorySamples } from "../data/samples.ts";
import { openSession } from "../runtime/session.node.ts";
import { tensor } from "../util/tensor.ts";
import { openBatches } from "./batches.ts";
import { memoryCheckpoints } from "./checkpoint.ts";
import { columnLosses, largest, openHardest } from "./hardest.ts";
import { candidatesPerStep, stepsPerEpoch, type TrainingJob, type TrainingResult, totalSteps } from "./job.ts";
import { type TrainOptions, train } from "./trainer.ts";

async function run(job: TrainingJob, options: Partial<TrainOptions> = {}): Promise<TrainingResult> {
  const training = train(job, { openSession, ...options });
  for (;;) {
    const { done, value } = await training.next();
    if (done) return value;
  }
}

describe("losses and their order", () => {
  it("are the cross-entropy of each column, with the offset added", () => {
    // Two classes, three columns.
    const logits = [0, 2, -1, 0, 0, 3];
    const softplus = (x: number): number => Math.log1p(Math.exp(x));
    const plain = columnLosses(logits, Uint16Array.of(0, 1, 0));
    [softplus(0), softplus(2), softplus(4)].forEach((loss, n) => {
      expect(plain[n]).toBeCloseTo(loss, 12);
    });
    const moved = columnLosses(logits, Uint16Array.of(0, 1, 0), [1, 0]);
    [softplus(-1), softplus(3), softplus(3)].forEach((loss, n) => {
      expect(moved[n]).toBeCloseTo(loss, 12);
    });
  });

  it("give the places of the largest, ascending; the first of equals, and what is no number before all", () => {
    expect([...largest(Float64Array.of(3, 1, 4, 1, 5, 9, 2, 6), 3)]).toEqual([4, 5, 7]);
    expect([...largest(Float64Array.of(2, 2, 1, 2), 2)]).toEqual([0, 1]);
    expect([...largest(Float64Array.of(7, Number.NaN, 8), 1)]).toEqual([1]);
  });
});

describe("training on the hardest share", () => {
  it("of all samples is plain training, bit for bit", async () => {
    expect(bitsOf(await run(toyJob({}, { hardShare: 1 })))).toEqual(bitsOf(await run(toyJob())));
  });

  it("takes a batch of those with the largest losses out of the candidates of each step", async () => {
    const job = toyJob({}, { hardShare: 0.4 });
    expect(candidatesPerStep(job)).toBe(40);
    expect([stepsPerEpoch(job), totalSteps(job)]).toEqual([3, 9]);
    const source = openMemorySamples(job.dataset);
    const candidates = openBatches(job, source, 3);
    const parameters = initialParameters(job.network, 7, "float32");
    // An untrained bias that tells the classes apart: the losses of class 2 are the largest.
    parameters.set("classifier.bias", tensor("float32", [3], Float32Array.of(5, 0, -5)));
    parameters.set("classifier.weight", tensor("float32", parameters.get("classifier.weight")?.shape ?? [], new Float32Array(3 * 8)));
    const hardest = await openHardest(job, job.network, candidates, undefined, openSession);
    try {
      await hardest.choose(1, parameters);
      // 40 candidates hold at least the batch's 16 of classes 1 and 2; those of class 2 come first.
      const wanted = [2, 1, 0].flatMap((c) => [...candidates.labels.keys()].filter((n) => candidates.labels[n] === c)).slice(0, 16);
      wanted.sort((a, b) => a - b);
      expect([...hardest.batches.labels]).toEqual(wanted.map((n) => candidates.labels[n]));
      wanted.forEach((column, n) => {
        for (let p = 0; p < 64; p++) expect(hardest.batches.image[p * 16 + n]).toBe(candidates.image[p * 40 + column]);
        for (let c = 0; c < 3; c++) expect(hardest.batches.target[c * 16 + n]).toBe(c === hardest.batches.labels[n] ? 1 : 0);
      });
    } finally {
      await hardest.close();
      source.close();
    }
  });

  it("learns the toy pictures, in fewer steps", async () => {
    const job = toyJob({ dataset: toyDataset(240) }, { hardShare: 0.5, epochs: 12, augmentation: { crop: 0, flip: false, cutout: 0 } });
    const { curve, steps, samplesSeen } = await run(job);
    expect([steps, samplesSeen]).toEqual([12 * 7, 12 * 7 * 32]);
    // Of the hardest half, so lower than of all.
    expect(curve.at(-1)?.accuracy).toBeGreaterThan(0.9);
  });

  it("stopped at any step goes on to the same bytes", async () => {
    const job = toyJob({}, { hardShare: 0.4, logitAdjustment: 0.5 });
    const whole = bitsOf(await run(job));
    for (const stop of [1, 4, 8]) {
      const checkpoints = memoryCheckpoints();
      const controller = new AbortController();
      const training = train(job, { openSession, checkpoints, signal: controller.signal });
      const interrupted = (async () => {
        for await (const { step } of training) if (step === stop) controller.abort();
      })();
      await expect(interrupted).rejects.toMatchObject({ code: "interrupted" });
      expect(bitsOf(await run(job, { checkpoints }))).toEqual(whole);
    }
  });

  it("is refused for a share out of range, and against frozen scores", async () => {
    for (const hardShare of [0, 1.5, Number.NaN]) {
      await expect(run(toyJob({}, { hardShare }))).rejects.toThrow(/hardShare must be more than 0 and at most 1, got /);
    }
    const frozen = { taskSet: [0, 1], classCount: 3, scores: new Float32Array(360) };
    await expect(run(toyJob({ frozen }, { hardShare: 0.5 }))).rejects.toMatchObject({
      code: "config",
      message:
        "Training of toy: a hardShare of 0.5 and frozen scores do not go together; a settle pass trains on all samples, so leave hardShare out of it.",
    });
  });
});
