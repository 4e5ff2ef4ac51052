import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { storageError } from "../util/files.node.ts";
import { encodeSafetensors } from "../util/safetensors.ts";
import { floats, integers, type Tensor, tensor } from "../util/tensor.ts";
import { fileCheckpoints } from "./checkpoint.node.ts";
import { type Checkpoint, type CheckpointStore, decodeCheckpoint, encodeCheckpoint, memoryCheckpoints } from "./checkpoint.ts";

let folder: string;
let files = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sheaf-checkpoint-"));
});
afterAll(() => rm(folder, { recursive: true }));
const newPath = (): string => join(folder, "jobs", `${files++}.checkpoint`);

const sample = (step: number): Checkpoint => ({
  job: "pi-1",
  fingerprint: "abc",
  step,
  lossSum: 0.1 + 0.2,
  correct: 17,
  curve: [{ epoch: 1, step: 4, loss: 1 / 3, accuracy: 0.5, learningRate: 1e-7 }],
  seconds: 1.25,
  state: new Map<string, Tensor>([
    ["conv.weight", floats("float32", [2], [1.1, -0])],
    ["random.counter", integers([1], [4])],
  ]),
});

function testStore(name: string, open: () => CheckpointStore): void {
  describe(`checkpoints ${name}`, () => {
    it("has none at first", async () => {
      expect(await open().load()).toBeUndefined();
    });

    it("gives back the last one saved, to the last bit", async () => {
      const store = open();
      await store.save(sample(1));
      await store.save(sample(5));
      expect(await store.load()).toEqual(sample(5));
    });

    it("does not follow later changes of the tensors", async () => {
      const store = open();
      const weight = tensor("float32", [1], Float32Array.of(1));
      await store.save({ ...sample(1), state: new Map([["w", weight]]) });
      weight.data[0] = 2;
      expect((await store.load())?.state.get("w")?.data[0]).toBe(1);
    });
  });
}

testStore("in memory", memoryCheckpoints);
testStore("in a file", () => fileCheckpoints(newPath()));

describe("a damaged checkpoint", () => {
  it("is refused whatever byte is changed or missing, with the path and a remedy, and is kept", async () => {
    const path = newPath();
    const store = fileCheckpoints(path);
    await store.save(sample(3));
    const good = await readFile(path);
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), async (place, change, cut) => {
        const bad = cut ? good.subarray(0, place) : Uint8Array.from(good);
        if (!cut) bad[place] = (bad[place] as number) ^ change;
        await writeFile(path, bad);
        // A changed space of the header's padding changes nothing that is read.
        const loaded = await store.load().catch((error: unknown) => error);
        if (!(loaded instanceof Error)) return expect(loaded).toEqual(sample(3));
        expect(loaded).toMatchObject({ code: "corrupt", message: expect.stringContaining(`Checkpoint ${path} cannot be used: `) });
        expect(loaded.message).toMatch(/; delete it to train from the start, or use another --out\.$/);
        expect(await readFile(path)).toEqual(Buffer.from(bad));
      }),
      { numRuns: 60 },
    );
  });

  it("is told from other files", async () => {
    await expect(decodeCheckpoint(encodeSafetensors(new Map()), "x")).rejects.toThrow(/it is a safetensors file, but not a checkpoint/);
    const other = await encodeCheckpoint({ ...sample(1), step: -1 });
    await expect(decodeCheckpoint(other, "x")).rejects.toThrow(/another version of Sheaf/);
  });
});

describe("a full disk", () => {
  it("leaves the checkpoint before", async () => {
    const path = newPath();
    await fileCheckpoints(path).save(sample(2));
    const full = fileCheckpoints(path, async (target) => {
      throw storageError(Object.assign(new Error("no space"), { code: "ENOSPC" }), target);
    });
    await expect(full.save(sample(3))).rejects.toMatchObject({ code: "storage", message: expect.stringMatching(/the disk is full/) });
    expect((await full.load())?.step).toBe(2);
  });

  it("shows in a folder that cannot be written", async () => {
    const path = newPath();
    await fileCheckpoints(path).save(sample(2));
    await expect(fileCheckpoints(join(path, "below")).save(sample(3))).rejects.toMatchObject({ code: "storage" });
    expect((await readdir(join(folder, "jobs"))).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });
});
