import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { bitsOf, toyDataset, toyJob } from "../../test/fixtures/toyJob.ts";
import { openSession } from "../runtime/session.node.ts";
import { openSession as openWebSession } from "../runtime/session.web.ts";
import { floats, type Tensor } from "../util/tensor.ts";
import { type CheckpointStore, memoryCheckpoints } from "./checkpoint.ts";
import { stepsPerEpoch, type TrainingJob, type TrainingProgress, type TrainingResult, totalSteps } from "./job.ts";
import { type TrainOptions, train } from "./trainer.ts";

interface Outcome {
  readonly steps: readonly TrainingProgress[];
  readonly result: TrainingResult;
}

/** Trains to the end; `afterStep` is called between steps. */
async function run(job: TrainingJob, options: Partial<TrainOptions> = {}, afterStep?: (step: number) => void): Promise<Outcome> {
  const training = train(job, { openSession, ...options });
  const steps: TrainingProgress[] = [];
  for (;;) {
    const { done, value } = await training.next();
    if (done) return { steps, result: value };
    steps.push(value);
    afterStep?.(value.step);
  }
}

/** Trains until `step` steps are done, then interrupts. */
async function runUntil(job: TrainingJob, step: number, checkpoints: CheckpointStore): Promise<void> {
  const controller = new AbortController();
  if (step === 0) controller.abort();
  const interrupted = run(job, { checkpoints, signal: controller.signal }, (done) => done === step && controller.abort());
  await expect(interrupted).rejects.toMatchObject({ code: "interrupted", message: expect.stringContaining(`after step ${step} of `) });
}

let reference: Outcome;
beforeAll(async () => {
  reference = await run(toyJob());
});

describe("train", () => {
  it("learns the toy pictures", async () => {
    const { result } = await run(toyJob({}, { epochs: 8, augmentation: { crop: 0, flip: false, cutout: 0 } }));
    expect(result.curve.at(-1)?.accuracy).toBeGreaterThan(0.95);
    expect(result.curve.at(-1)?.loss).toBeLessThan((result.curve[0]?.loss ?? 0) / 2);
  });

  it("reports every step, and a point of the curve for every epoch", () => {
    const { steps, result } = reference;
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 21 }, (_, i) => i + 1));
    expect(steps.map(({ epoch }) => epoch)).toEqual([1, 2, 3].flatMap((epoch) => new Array<number>(7).fill(epoch)));
    expect(result).toMatchObject({ job: "toy", steps: 21, samplesSeen: 21 * 16 });
    for (const [i, point] of result.curve.entries()) {
      const { epoch, step, loss, accuracy, learningRate } = steps[7 * i + 6]!;
      expect(point).toEqual({ epoch, step, loss, accuracy, learningRate });
    }
    expect(steps.at(-1)?.secondsLeft).toBe(0);
  });

  it("gives the same bits for the same job, others for another seed or id", async () => {
    expect(bitsOf((await run(toyJob())).result)).toEqual(bitsOf(reference.result));
    expect(bitsOf((await run(toyJob({ seed: 2 }))).result)).not.toEqual(bitsOf(reference.result));
    expect(bitsOf((await run(toyJob({ id: "other" }))).result)).not.toEqual(bitsOf(reference.result));
  });

  it("returns the network's parameters and running statistics, averaged weights where asked", async () => {
    const layers = ["conv1", "bn1", "conv2", "bn2", "classifier"];
    const names = [...reference.result.parameters.keys()];
    expect(new Set(names.map((name) => name.split(".")[0]))).toEqual(new Set(layers));
    expect(names).toContain("bn1.running_mean");
    expect(names.filter((name) => /momentum|ema/.test(name))).toEqual([]);
    const plain = (await run(toyJob({}, { emaDecay: 0 }))).result.parameters;
    // The average does not act on training: running statistics agree, weights do not.
    expect(plain.get("bn1.running_mean")).toEqual(reference.result.parameters.get("bn1.running_mean"));
    expect(plain.get("conv1.weight")).not.toEqual(reference.result.parameters.get("conv1.weight"));
  });

  it("fills a batch from fewer samples than it holds", async () => {
    const few = toyJob({ samples: Uint32Array.of(5, 6, 7), labels: Uint16Array.of(2, 0, 1) });
    expect([stepsPerEpoch(few), totalSteps(few)]).toEqual([1, 3]);
    expect((await run(few)).result.curve).toHaveLength(3);
  });

  it("starts from given parameters", async () => {
    const initial = reference.result.parameters as ReadonlyMap<string, Tensor>;
    const warm = await run(toyJob({ initial }, { schedule: { type: "constant", learningRate: 1e-9 }, epochs: 1 }));
    const [given, after] = [initial, warm.result.parameters].map((p) => [...((p.get("conv2.weight") as Tensor).data as Float32Array)]);
    after?.forEach((value, i) => {
      expect(value).toBeCloseTo(given?.[i] ?? Number.NaN, 5);
    });
    const wrong = run(toyJob({ initial: new Map([["conv2.weight", floats("float32", [1], [1])]]) }));
    await expect(wrong).rejects.toThrow(/the starting "conv2.weight" has shape \[1\], network "tiny" has \[/);
  });

  it("says when the loss is not finite, and keeps the last good checkpoint", async () => {
    const checkpoints = memoryCheckpoints();
    const job = toyJob({ checkpoint: { path: "unused", everySeconds: 0 } }, { schedule: { type: "constant", learningRate: 1e30 } });
    await expect(run(job, { checkpoints })).rejects.toMatchObject({
      code: "diverged",
      message: expect.stringMatching(
        /^Training of toy: .* became (NaN|infinite|NaN or infinite) at step \d+ of 21 \(epoch 1\); lower the learning rate \(now 1e\+30\) or clip gradients\.$/,
      ),
    });
    const kept = await checkpoints.load();
    expect(kept?.step).toBeGreaterThan(0);
    for (const { data } of kept?.state.values() ?? [])
      expect([...(data as Float32Array)].every((v) => Number.isFinite(Number(v)))).toBe(true);
  });

  it("never keeps weights that are not finite, even while the loss is", async () => {
    const checkpoints = memoryCheckpoints();
    const job = toyJob(
      { checkpoint: { path: "unused", everySeconds: 0 } },
      { schedule: { type: "constant", learningRate: 3e38 }, optimizer: { type: "sgd", momentum: 0, nesterov: false, weightDecay: 1000 } },
    );
    await expect(run(job, { checkpoints })).rejects.toThrow(/^Training of toy: "conv1.weight" became NaN or infinite at step 1 of 21/);
    expect(await checkpoints.load()).toBeUndefined();
  });

  it("trains on the WebAssembly runtime of browsers too, close to native", async () => {
    const open = (model: Uint8Array): ReturnType<typeof openSession> => openWebSession(model);
    const [first, second] = [await run(toyJob(), { openSession: open }), await run(toyJob(), { openSession: open })];
    expect(bitsOf(second.result)).toEqual(bitsOf(first.result));
    expect(first.steps[4]?.loss).toBeCloseTo(reference.steps[4]?.loss ?? Number.NaN, 3);
  });

  it("frees its session when the caller stops early", async () => {
    let disposed = 0;
    const training = train(toyJob(), {
      openSession: async (...args) => {
        const session = await openSession(...args);
        const dispose = (): Promise<void> => {
          disposed++;
          return session.dispose();
        };
        return { ...session, dispose };
      },
    });
    for await (const { step } of training) if (step === 2) break;
    expect(disposed).toBe(1);
  });

  it.each<[string, TrainingJob, RegExp]>([
    ["no samples", toyJob({ samples: new Uint32Array(0), labels: new Uint16Array(0) }), /no samples/],
    ["labels beyond the logits", toyJob({ labels: new Uint16Array(120).fill(3) }), /label 3, but network "tiny" has 3 logits/],
    ["fewer labels than samples", toyJob({ labels: new Uint16Array(2) }), /120 samples need as many labels, got 2/],
    ["a sample that does not exist", toyJob({ samples: new Uint32Array(120).fill(900) }), /sample 900/],
    ["no epochs", toyJob({}, { epochs: 0 }), /epochs must be a whole number/],
    ["a decay of one", toyJob({}, { emaDecay: 1 }), /emaDecay/],
  ])("refuses %s", async (_, job, message) => {
    await expect(run(job)).rejects.toThrow(message);
  });
});

describe("train, interrupted", () => {
  it("goes on from any step to the same bits", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 3 }), async (stops) => {
        const checkpoints = memoryCheckpoints();
        for (const stop of stops.sort((a, b) => a - b)) await runUntil(toyJob(), stop, checkpoints);
        const { steps, result } = await run(toyJob(), { checkpoints });
        expect(steps[0]?.step).toBe((stops.at(-1) ?? 0) + 1);
        expect(bitsOf(result)).toEqual(bitsOf(reference.result));
      }),
      { numRuns: 5, examples: [[[7]]] },
    );
  });

  it("goes on from the last checkpoint after a sudden end, dropout and Adam included", async () => {
    const base = toyJob(
      { checkpoint: { path: "unused", everySeconds: 0 } },
      { optimizer: { type: "adamw", weightDecay: 0.01, clipNorm: 1 } },
    );
    const layers = base.network.layers.map((layer) => (layer.name === "classifier" ? { ...layer, inputs: ["dropout"] } : layer));
    const dropout = { type: "dropout", name: "dropout", inputs: ["pool"], probability: 0.3 } as const;
    const job = { ...base, network: { ...base.network, layers: [...layers.slice(0, -1), dropout, ...layers.slice(-1)] } };
    const whole = await run(job);
    const checkpoints = memoryCheckpoints();
    for await (const { step } of train(job, { openSession, checkpoints })) if (step === 9) break;
    expect((await checkpoints.load())?.step).toBe(9);
    expect(bitsOf((await run(job, { checkpoints })).result)).toEqual(bitsOf(whole.result));
  });

  it("keeps the end, so that a finished job is not trained again", async () => {
    const checkpoints = memoryCheckpoints();
    await run(toyJob(), { checkpoints });
    const again = await run(toyJob(), { checkpoints });
    expect(again.steps).toEqual([]);
    expect(bitsOf(again.result)).toEqual(bitsOf(reference.result));
  });

  it("refuses the checkpoint of another job, other settings or other data", async () => {
    const checkpoints = memoryCheckpoints();
    await runUntil(toyJob(), 3, checkpoints);
    const message = (problem: string): RegExp => new RegExp(`^Checkpoint in memory cannot be used: ${problem}; delete it .* --out\\.$`);
    const other = run(toyJob({ id: "other" }), { checkpoints });
    await expect(other).rejects.toMatchObject({
      code: "corrupt",
      message: expect.stringMatching(message('it belongs to "toy", not to "other"')),
    });
    for (const job of [toyJob({ seed: 9 }), toyJob({}, { epochs: 4 }), toyJob({ dataset: toyDataset(120, 5) })]) {
      await expect(run(job, { checkpoints })).rejects.toThrow(message('it is of a training of "toy" with other settings, data or seed'));
    }
  });

  it("fails when the checkpoint cannot be written", async () => {
    const checkpoints = { ...memoryCheckpoints(), save: () => Promise.reject(new Error("disk full")) };
    await expect(run(toyJob({ checkpoint: { path: "unused", everySeconds: 0 } }), { checkpoints })).rejects.toThrow("disk full");
  });
});
