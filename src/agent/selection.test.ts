import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toyDataset } from "../../test/fixtures/toyJob.ts";
import { type Dataset, takeSamples } from "../data/dataset.ts";
import { decodePool, encodePool, withPool } from "../data/pool.ts";
import { openMemorySamples } from "../data/samples.ts";
import { sha256Hex } from "../util/hash.node.ts";
import { statisticsSpec, trainSpec } from "./fakeCoordinator.fixture.ts";
import { inClassesOf, summarizeData } from "./ownData.ts";
import { type SampleTools, selectSamples, summedSamples, withoutHeldOut } from "./selection.ts";

const data = toyDataset(60, 1);
const none: SampleTools["fetchObject"] = () => Promise.reject(new Error("fetches nothing"));
const tools = (of: Dataset = data, fetchObject = none): SampleTools => ({ data: of, openSamples: openMemorySamples, fetchObject });
const labelsOf = (dataset: Dataset, samples: Uint32Array): number[] =>
  [...new Set(Array.from(samples, (i) => dataset.labels[i] as number))].sort();

describe("inClassesOf", () => {
  it("gives every sample the run's number of its class, whatever the order of either", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(["left", "top", "chequered", "new"], { minLength: 1 }), (classNames) => {
        const known = Array.from(data.labels).filter((label) => classNames.includes(data.classNames[label] as string));
        if (known.length === 0) {
          expect(() => inClassesOf(data, classNames)).toThrow(expect.objectContaining({ code: "data" }));
          return;
        }
        const seen = inClassesOf(data, classNames);
        expect(Array.from(seen.labels, (label) => seen.classNames[label])).toEqual(known.map((label) => data.classNames[label]));
        const [own, theirs] = [openMemorySamples(data), openMemorySamples(seen)];
        const place = Array.from(data.labels).findIndex((label) => classNames.includes(data.classNames[label] as string));
        expect(theirs.record(0)).toEqual(own.record(place));
      }),
      { numRuns: 40 },
    );
  });

  it("leaves a set of the same classes as it is, but for the class of no class", () => {
    const seen = inClassesOf({ ...data, otherClass: 0 }, data.classNames, 2);
    expect(seen.labels).toBe(data.labels);
    expect(seen.otherClass).toBe(2);
    expect(inClassesOf({ ...data, otherClass: 0 }, data.classNames).otherClass).toBeUndefined();
  });
});

describe("summarizeData", () => {
  it("counts, or only says what is there, and tells changed data", async () => {
    const few = takeSamples(data, [0, 3, 1]);
    const open = await summarizeData(few, false);
    expect(open).toMatchObject({ classNames: data.classNames, counts: [2, 1, 0], sampleShape: { channels: 1, height: 8, width: 8 } });
    const closed = await summarizeData(few, true);
    expect(closed).toMatchObject({ present: [true, true, false], fingerprint: open.fingerprint });
    expect(closed).not.toHaveProperty("counts");
    expect((await summarizeData(takeSamples(data, [0, 3, 4]), false)).fingerprint).not.toBe(open.fingerprint);
    expect((await summarizeData(takeSamples(data, [0, 3, 1]), false)).fingerprint).toBe(open.fingerprint);
  });
});

describe("selectSamples", () => {
  it("takes own samples and a share of the others, the same each time", async () => {
    const spec = trainSpec(data, { background: { source: "local", rho: 0.5 } });
    const selection = await selectSamples(spec, tools());
    expect(labelsOf(data, selection.own)).toEqual([0, 1]);
    expect([selection.own.length, selection.background.length, selection.made.length]).toEqual([40, 10, 0]);
    expect(labelsOf(data, selection.background)).toEqual([2]);
    expect(await selectSamples(spec, tools())).toEqual({ ...selection });
    expect((await selectSamples({ ...spec, taskId: "else" }, tools())).background).toEqual(selection.background);
    expect((await selectSamples({ ...spec, seed: 9 }, tools())).background).not.toEqual(selection.background);
  });

  it("makes negatives of its own samples, or takes none", async () => {
    const made = await selectSamples(trainSpec(data, { background: { source: "synthetic", rho: 0.5 } }), tools());
    // Of the one other class there are taken to be 20 samples, like the mean of the own ones.
    expect([made.background.length, made.made.length]).toEqual([0, 10]);
    expect(made.made.every((i) => made.own.includes(i))).toBe(true);
    const bare = await selectSamples(trainSpec(data, { background: { source: "none", rho: 0.5 } }), tools());
    expect([bare.background.length, bare.made.length]).toEqual([0, 0]);
  });

  it("takes negatives from a public pool, and trains on them as on its own", async () => {
    const public_ = toyDataset(30, 7);
    const bytes = encodePool(openMemorySamples(public_), Uint32Array.from(public_.labels.keys()));
    const name = sha256Hex(bytes);
    const own = takeSamples(data, [0, 1, 3, 4, 6, 7]);
    const spec = trainSpec(data, { background: { source: "pool", rho: 1, pool: name } });
    const selection = await selectSamples(
      spec,
      tools(own, async () => bytes),
    );
    expect([selection.own.length, selection.background.length]).toEqual([6, 3]);
    expect(labelsOf(selection.dataset, selection.background)).toEqual([2]);
    const opened = selection.openSamples(selection.dataset);
    for (const i of selection.background) expect(opened.record(i)).toEqual(openMemorySamples(public_).record(i - 6));
    expect(opened.record(2)).toEqual(openMemorySamples(data).record(3));
    opened.close();
  });

  it("says which classes it lacks", async () => {
    const own = takeSamples(data, [0, 3]);
    await expect(selectSamples(trainSpec(data, { taskSet: [1, 2] }), tools(own))).rejects.toMatchObject({
      code: "data",
      message: expect.stringContaining("top, chequered"),
    });
  });

  it("holds the same share out of training that the statistics sum apart", async () => {
    const spec = trainSpec(data, { heldOutShare: 0.25 });
    const selection = await selectSamples(spec, tools());
    const trained = withoutHeldOut(selection);
    expect(trained.own.length).toBe(30);
    const summed = summedSamples(spec, await selectSamples(statisticsSpec("", { heldOutShare: 0.25 }), tools()));
    expect([summed.statistics.length, summed.heldOut.length]).toEqual([30, 10]);
    expect(trained.own).toEqual(summed.statistics);
    const all = withoutHeldOut({ ...selection, isHeldOut: new Uint8Array(60).fill(1) });
    expect([all.own.length, all.background.length]).toEqual([1, 0]);
  });

  it("sums background samples of the class that nobody owns", async () => {
    const spec = statisticsSpec("", { otherClass: 2, heldOutShare: 0 });
    const selection = await selectSamples(spec, tools());
    const { statistics } = summedSamples(spec, selection);
    expect(statistics.length).toBe(selection.own.length + selection.background.length);
    expect(statistics).toEqual(statistics.slice().sort());
  });
});

describe("a pool", () => {
  it("that is damaged or of another form is refused", () => {
    const bytes = encodePool(openMemorySamples(data), [0, 1, 2]);
    expect(() => decodePool(bytes, "The pool", 2)).toThrow(/class 2/);
    expect(() => decodePool(bytes.slice(0, 40), "The pool", 3)).toThrow(expect.objectContaining({ code: "corrupt" }));
    const pool = decodePool(bytes, "The pool", 3);
    const wide = { ...data, shape: { channels: 3, height: 8, width: 8 } };
    expect(() => withPool(wide, pool, "x", openMemorySamples)).toThrow(/64 values of uint8/);
  });
});
