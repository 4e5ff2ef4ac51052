import { describe, expect, it } from "vitest";
import { bitsOf, toyDataset, toyJob } from "../../test/fixtures/toyJob.ts";
import { shrunk } from "../compile/progressive.ts";
import { openMemorySamples } from "../data/samples.ts";
import { openShrink } from "../data/shrink.ts";
import { openSession } from "../runtime/session.node.ts";
import type { Tensor } from "../util/tensor.ts";
import { openBatches } from "./batches.ts";
import { memoryCheckpoints } from "./checkpoint.ts";
import { smallSteps, type TrainingJob, type TrainingResult } from "./job.ts";
import { type TrainOptions, train } from "./trainer.ts";

async function run(job: TrainingJob, options: Partial<TrainOptions> = {}): Promise<TrainingResult> {
  const training = train(job, { openSession, ...options });
  for (;;) {
    const { done, value } = await training.next();
    if (done) return value;
  }
}

const progressive = { scale: 0.5, epochs: 0.34 };

describe("progressive image size", () => {
  it("trains the first epochs on the same batches, made smaller", () => {
    const job = toyJob({}, { progressive });
    expect(smallSteps(job)).toBe(7);
    const source = openMemorySamples(job.dataset);
    const [whole, small] = [openBatches(job, source, 3), openBatches(job, source, 3, { height: 4, width: 4 })];
    const made = new Float32Array(16 * 16);
    for (const step of [3, 0]) {
      whole.fill(step);
      small.fill(step);
      openShrink(job.dataset.shape, { height: 4, width: 4 }, 16)(made, whole.image);
      expect(small.image).toEqual(made);
      expect(small.labels).toEqual(whole.labels);
      expect(small.target).toEqual(whole.target);
    }
    source.close();
  });

  it("runs the small program first and the whole one after, one at a time, with one state", async () => {
    const job = toyJob({}, { progressive });
    const sizes: string[] = [];
    let open = 0;
    const result = await run(job, {
      openSession: async (...args) => {
        const session = await openSession(...args);
        expect(++open).toBe(1);
        return {
          ...session,
          run: (feeds, into) => {
            sizes.push(((feeds as Record<string, Tensor>).image?.shape ?? []).join("x"));
            return session.run(feeds, into);
          },
          dispose: () => {
            open--;
            return session.dispose();
          },
        };
      },
    });
    expect(sizes).toEqual([...new Array<string>(7).fill("1x4x4x16"), ...new Array<string>(14).fill("1x8x8x16")]);
    expect(result.steps).toBe(21);
    expect(open).toBe(0);
    // As if the first epoch had been a training of its own on the smaller network, apart from the schedule: running statistics moved.
    expect(bitsOf(result)).not.toEqual(bitsOf(await run(toyJob())));
  });

  it("learns the toy pictures", async () => {
    const job = toyJob({ dataset: toyDataset(240) }, { progressive, epochs: 8, augmentation: { crop: 0, flip: false, cutout: 0 } });
    expect((await run(job)).curve.at(-1)?.accuracy).toBeGreaterThan(0.95);
  });

  it("stopped at any step, before, at and after the change of size, goes on to the same bytes, the hardest share and averages included", async () => {
    const job = toyJob({}, { progressive: { scale: 0.5, epochs: 0.5 }, epochs: 2, hardShare: 0.5 });
    const whole = bitsOf(await run(job));
    expect(smallSteps(job)).toBe(3);
    for (const stop of [2, 3, 4]) {
      const checkpoints = memoryCheckpoints();
      const controller = new AbortController();
      const training = train(job, { openSession, checkpoints, signal: controller.signal });
      const interrupted = (async () => {
        for await (const { step } of training) if (step === stop) controller.abort();
      })();
      await expect(interrupted).rejects.toMatchObject({ code: "interrupted" });
      expect((await checkpoints.load())?.step).toBe(stop);
      expect(bitsOf(await run(job, { checkpoints }))).toEqual(whole);
    }
  });

  it("of a share that rounds to no epoch is plain training", async () => {
    const none = toyJob({}, { progressive: { scale: 0.5, epochs: 0.1 } });
    expect(smallSteps(none)).toBe(0);
    expect(bitsOf(await run(none))).toEqual(bitsOf(await run(toyJob())));
  });

  it("is refused for frozen scores and for a network that does not allow it", async () => {
    const frozen = { taskSet: [0, 1], classCount: 3, scores: new Float32Array(360) };
    await expect(run(toyJob({ frozen }, { progressive }))).rejects.toThrow(
      "Training of toy: progressive image size is not possible, as frozen scores are those of whole images; leave it out.",
    );
    const job = toyJob({}, { progressive });
    const layers = job.network.layers.map((layer) => (layer.name === "pool" ? ({ ...layer, type: "flatten" } as const) : layer));
    await expect(run({ ...job, network: { ...job.network, layers } })).rejects.toMatchObject({ code: "config" });
    expect(shrunk(job.network, 0.5).input).toMatchObject({ height: 4, width: 4 });
  });
});
