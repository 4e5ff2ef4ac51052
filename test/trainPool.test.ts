/**
 * The pool with real worker threads, from the built package: Node cannot load TypeScript in a worker thread.
 * `npm test` builds first; without a build these tests are skipped.
 */
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TrainingJob, TrainingProgress, TrainingResult } from "../src/train/job.ts";
import type { trainAll as TrainAll } from "../src/train/pool.node.ts";
import { trainHere } from "../src/train/trainer.node.ts";
import { bitsOf, toyDataset, toyJob } from "./fixtures/toyJob.ts";

const door = fileURLToPath(new URL("../dist/train.node.js", import.meta.url));
const built = existsSync(door);
if (!built) console.log("dist/train.node.js is not there (npm run build): tests of worker threads are skipped.");

async function trainAlone(job: TrainingJob): Promise<TrainingResult> {
  const training = trainHere(job);
  for (;;) {
    const { done, value } = await training.next();
    if (done) return value;
  }
}

/** Four jobs of unequal length on one data set. */
function jobs(changes: (id: string) => Partial<TrainingJob> = () => ({})): TrainingJob[] {
  const dataset = toyDataset(120);
  return ["a", "b", "c", "d"].map((id, i) => toyJob({ id, dataset, ...changes(id) }, { epochs: 1 + i }));
}

describe.skipIf(!built)("trainAll", () => {
  let trainAll: typeof TrainAll;
  let folder: string;
  let expected: unknown[];
  beforeAll(async () => {
    // Through package.json's "exports", as a user of the package gets it.
    ({ trainAll } = (await import(/* @vite-ignore */ ["sheaf", "train"].join("/"))) as { trainAll: typeof TrainAll });
    folder = await mkdtemp(join(tmpdir(), "sheaf-pool-"));
    expected = [];
    for (const job of jobs()) expected.push(bitsOf(await trainAlone(job)));
  });
  afterAll(() => folder && rm(folder, { recursive: true }));

  it.each([0, 1, 2, 6])("gives the same bits in the order of the jobs with %i workers", async (workers) => {
    const seen = new Map<string, TrainingProgress>();
    const ended: string[] = [];
    const results = await trainAll(jobs(), {
      workers,
      onProgress: (progress) => seen.set(progress.job, progress),
      onResult: ({ job }) => void ended.push(job),
    });
    expect(results.map(({ job }) => job)).toEqual(["a", "b", "c", "d"]);
    expect(results.map(bitsOf)).toEqual(expected);
    expect([...seen.values()].map(({ step, steps }) => step === steps)).toEqual([true, true, true, true]);
    expect(ended.toSorted()).toEqual(["a", "b", "c", "d"]);
    if (workers < 2) expect(ended[0]).toBe("d");
  });

  it("does not train finished jobs again", async () => {
    const [first] = await trainAll(jobs().slice(0, 1), { workers: 1 });
    const ended: string[] = [];
    const finished = (job: string): TrainingResult | undefined => (job === "a" ? first : undefined);
    const results = await trainAll(jobs().slice(0, 2), { workers: 2, finished, onResult: ({ job }) => void ended.push(job) });
    expect(ended).toEqual(["b"]);
    expect(results.map(bitsOf)).toEqual(expected.slice(0, 2));
  });

  it("stops on the signal with a checkpoint of every job under way, and goes on to the same bits", async () => {
    const path = (id: string): string => join(folder, `${id}.checkpoint`);
    const withCheckpoints = (): TrainingJob[] => jobs((id) => ({ checkpoint: { path: path(id), everySeconds: 1e6 } }));
    const controller = new AbortController();
    const interrupted = trainAll(withCheckpoints(), {
      workers: 2,
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(interrupted).rejects.toMatchObject({
      code: "interrupted",
      message: expect.stringMatching(/^Training was interrupted with \d of 4 jobs done; checkpoints are kept: run again with --resume/),
    });
    expect((await readdir(folder)).length).toBeGreaterThanOrEqual(1);
    expect((await trainAll(withCheckpoints(), { workers: 1 })).map(bitsOf)).toEqual(expected);
  });

  it("does nothing when the signal came before", async () => {
    await expect(trainAll(jobs(), { workers: 2, signal: AbortSignal.abort() })).rejects.toThrow(/with 0 of 4 jobs done; no checkpoints/);
  });

  it("passes on a job's error, after the other jobs have stopped", async () => {
    const [good, bad] = [
      toyJob({ id: "good" }, { epochs: 500 }),
      toyJob({ id: "bad" }, { schedule: { type: "constant", learningRate: 1e30 } }),
    ];
    const start = performance.now();
    await expect(trainAll([good, bad], { workers: 2 })).rejects.toMatchObject({
      code: "diverged",
      message: expect.stringMatching(/^Training of bad: /),
    });
    expect(performance.now() - start).toBeLessThan(20_000);
  });

  it("fails when a result cannot be kept", async () => {
    const onResult = (): Promise<void> => Promise.reject(new Error("disk full"));
    await expect(trainAll(jobs(), { workers: 2, onResult })).rejects.toThrow("disk full");
  });

  it("says when a worker thread ended unexpectedly", async () => {
    const script = async (name: string, text: string): Promise<URL> => {
      await writeFile(
        join(folder, name),
        `import { parentPort } from "node:worker_threads";\nparentPort.on("message", () => { ${text} });\n`,
      );
      return pathToFileURL(join(folder, name));
    };
    const exit = trainAll(jobs(), { workers: 1, workerUrl: await script("exit.mjs", "process.exit(3);") });
    await expect(exit).rejects.toMatchObject({
      code: "internal",
      message: expect.stringMatching(/^The worker thread that trained d ended unexpectedly: exit code 3; run again with --resume/),
    });
    const crash = trainAll(jobs(), { workers: 2, workerUrl: await script("crash.mjs", 'throw new Error("out of luck");') });
    await expect(crash).rejects.toThrow(/ended unexpectedly: out of luck;/);
  });

  it("refuses bad jobs before it begins any", async () => {
    await expect(trainAll([toyJob(), toyJob()], { workers: 1 })).rejects.toThrow(/Two training jobs are called "toy"/);
    await expect(trainAll([toyJob({}, { batchSize: 0 })], { workers: 1 })).rejects.toMatchObject({ code: "config" });
    await expect(trainAll(jobs(), { workers: -1 })).rejects.toThrow(/Workers must be a whole number/);
  });
});
