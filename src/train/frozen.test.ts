/** Training against frozen scores of other branches. */
import { describe, expect, it } from "vitest";
import { bitsOf, toyDataset, toyJob } from "../../test/fixtures/toyJob.ts";
import { openSession } from "../runtime/session.node.ts";
import { memoryCheckpoints } from "./checkpoint.ts";
import { fingerprintOf } from "./fingerprint.ts";
import type { TrainingJob, TrainingResult } from "./job.ts";
import { type TrainOptions, train } from "./trainer.ts";

const dataset = toyDataset(120);
const classCount = 3;

/** Scores of others who know every sample's class, and say so with this much certainty. */
function knowing(certainty: number): Float32Array {
  return Float32Array.from({ length: 120 * classCount }, (_, i) =>
    dataset.labels[Math.floor(i / classCount)] === i % classCount ? certainty : 0,
  );
}

const jobWith = (scores: Float32Array): TrainingJob => toyJob({ dataset, frozen: { taskSet: [0, 2], classCount, scores } });

async function run(job: TrainingJob, options: Partial<TrainOptions> = {}, stopAfter?: number): Promise<TrainingResult> {
  const controller = new AbortController();
  const training = train(job, { openSession, ...options, signal: controller.signal });
  for (;;) {
    const { done, value } = await training.next();
    if (done) return value;
    if (value.step === stopAfter) controller.abort();
  }
}

describe("a job with frozen scores", () => {
  it("brings each sample's scores with it through the shuffle", async () => {
    const [first] = (await run(jobWith(knowing(40)))).curve;
    // Label smoothing of 0.05 over three classes costs 40 * 0.05 * 2 / 3 against certainty itself.
    expect(first?.accuracy).toBe(1);
    expect(first?.loss).toBeGreaterThan(1);
    const [alone] = (await run(jobWith(knowing(0)))).curve;
    expect(alone?.accuracy).toBeLessThan(1);
  });

  it("learns what the others do not know", async () => {
    const scores = Float32Array.from({ length: 120 * classCount }, (_, i) =>
      i % classCount === 1 && dataset.labels[Math.floor(i / 3)] !== 1 ? -20 : 0,
    );
    const { curve } = await run({ ...jobWith(scores), settings: { ...jobWith(scores).settings, epochs: 10, labelSmoothing: 0 } });
    expect(curve.at(-1)?.accuracy).toBeGreaterThan(0.9);
  });

  it("gives the same bits after a stop, and refuses a checkpoint of other scores", async () => {
    const job = jobWith(knowing(2));
    const checkpoints = memoryCheckpoints();
    await expect(run(job, { checkpoints }, 5)).rejects.toMatchObject({ code: "interrupted" });
    await expect(run(jobWith(knowing(3)), { checkpoints })).rejects.toMatchObject({ code: "corrupt" });
    expect(bitsOf(await run(job, { checkpoints }))).toEqual(bitsOf(await run(job)));
  });

  it("is another job than one without them", async () => {
    const { frozen: _, ...alone } = jobWith(knowing(0));
    expect(await fingerprintOf(alone)).not.toBe(await fingerprintOf(jobWith(knowing(0))));
  });

  it("refuses scores that do not fit its samples", async () => {
    await expect(run(jobWith(new Float32Array(9)))).rejects.toMatchObject({ message: expect.stringContaining("got 9 numbers") });
  });
});
