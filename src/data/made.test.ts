import { describe, expect, it } from "vitest";
import { random } from "../util/random.ts";
import { fillBatch, noAugmentation } from "./augment.ts";
import { type Dataset, type SampleValues, takeSamples } from "./dataset.ts";
import { applyChange, changes, withMadeNegatives } from "./made.ts";
import { openMemorySamples } from "./samples.ts";

const labels = Uint16Array.from([0, 1, 0]);
function setOf(values: SampleValues, channels: number, height: number, width: number, more: Partial<Dataset> = {}): Dataset {
  return {
    name: "small",
    classNames: ["a", "b"],
    shape: { channels, height, width },
    labels,
    store: { type: "memory", values },
    mean: Array(channels).fill(0),
    std: Array(channels).fill(1),
    provenance: { source: "made up", sha256: "0" },
    ...more,
  };
}
const numbers = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, i) => i);
const images = setOf(numbers(3 * 2 * 8 * 8), 2, 8, 8);
const changed = (dataset: Dataset, kind: number, record = 0): number[] => {
  const { values } = dataset.store as { values: SampleValues };
  const length = values.length / 3;
  const into = values.slice(0, length);
  applyChange(into, values.subarray(record * length, (record + 1) * length), dataset, kind, record);
  return [...into];
};

describe("made negatives", () => {
  it("turn an image by quarters, as by hand", () => {
    const square = setOf(Uint8Array.from([1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]), 1, 2, 2);
    expect(changed(square, changes.none)).toEqual([1, 2, 3, 4]);
    expect(changed(square, changes.quarterTurn)).toEqual([2, 4, 1, 3]);
    expect(changed(square, changes.halfTurn)).toEqual([4, 3, 2, 1]);
    expect(changed(square, changes.threeQuarterTurn)).toEqual([3, 1, 4, 2]);
  });

  it("shuffle patches: the same pixels, whole patches, at least one elsewhere, the same each time", () => {
    const found = changed(images, changes.patches);
    const original = changed(images, changes.none);
    expect(found).not.toEqual(original);
    expect([...found].sort((a, b) => a - b)).toEqual([...original].sort((a, b) => a - b));
    // Patches are 2 x 2 of 8 x 8: right and lower neighbours stay together.
    const at = (values: number[], y: number, x: number): number => values[y * 8 + x] as number;
    for (let y = 0; y < 8; y += 2) {
      for (let x = 0; x < 8; x += 2) {
        expect(at(found, y, x + 1)).toBe(at(found, y, x) + 1);
        expect(at(found, y + 1, x)).toBe(at(found, y, x) + 8);
      }
    }
    expect(changed(images, changes.patches)).toEqual(found);
  });

  it("of a clip are shuffled stretches, or noise as loud as it is", () => {
    const clip = Int16Array.from({ length: 3 * 1600 }, (_, i) => Math.round(4000 * Math.sin(i / 7)));
    const audio = { features: {}, clipSamples: 1600, noise: new Int16Array(1600) } as unknown as Dataset["audio"] & object;
    const clips = setOf(clip, 1, 10, 4, { audio });
    const loudness = (values: number[]): number => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
    const noise = changed(clips, changes.noise);
    const own = changed(clips, changes.none);
    expect(loudness(noise) / loudness(own)).toBeGreaterThan(0.9);
    expect(loudness(noise) / loudness(own)).toBeLessThan(1.1);
    const correlation = noise.reduce((sum, v, i) => sum + v * (own[i] as number), 0) / 1600 / loudness(noise) / loudness(own);
    expect(Math.abs(correlation)).toBeLessThan(0.15);
    const stretches = changed(clips, changes.patches);
    expect(stretches).not.toEqual(own);
    expect([...stretches].sort((a, b) => a - b)).toEqual([...own].sort((a, b) => a - b));
  });

  it("come after the samples, are read changed, and leave the others as they are", () => {
    const more = withMadeNegatives(images, [2, 0, 2, 1], 5);
    expect([...more.labels]).toEqual([0, 1, 0, 0, 0, 0, 1]);
    expect([...(more.changed?.kinds.subarray(0, 3) ?? [])]).toEqual([0, 0, 0]);
    const samples = openMemorySamples(more);
    const plain = openMemorySamples(images);
    for (const i of [0, 1, 2]) expect([...samples.record(i)]).toEqual([...plain.record(i)]);
    for (const [made, source] of [
      [3, 2],
      [4, 0],
      [6, 1],
    ] as const) {
      expect([...samples.record(made)]).not.toEqual([...plain.record(source)]);
      expect([...samples.record(made)].sort()).toEqual([...plain.record(source)].sort());
    }
    const batch = new Float32Array(2 * 128);
    fillBatch(batch, samples, [1, 6], noAugmentation, random(0));
    expect([...batch].filter((_, i) => i % 2 === 0)).toEqual([...plain.record(1)]);
    expect([...batch].filter((_, i) => i % 2 === 1)).toEqual([...samples.record(6)]);
  });

  it("stay changed in a subset", () => {
    const more = withMadeNegatives(images, [1], 5);
    const taken = openMemorySamples(takeSamples(more, [3, 1]));
    expect([...taken.record(0)]).toEqual([...openMemorySamples(more).record(3)]);
    expect([...taken.record(1)]).toEqual([...openMemorySamples(images).record(1)]);
  });

  it("of one source differ from each other", () => {
    const samples = openMemorySamples(withMadeNegatives(images, Array(12).fill(0), 5));
    const made = Array.from({ length: 12 }, (_, i) => [...samples.record(3 + i)].join());
    // Three turns at most are possible; shuffled patches are all different.
    const patches = made.filter((_, i) => (samples.dataset.changed?.kinds[3 + i] ?? 0) % 8 === changes.patches);
    expect(patches.length).toBeGreaterThan(2);
    expect(new Set(patches).size).toBe(patches.length);
  });

  it("use all changes that a set allows", () => {
    const kinds = (dataset: Dataset): number[] =>
      [
        ...new Set([...(withMadeNegatives(dataset, Array(200).fill(0), 1).changed?.kinds.subarray(3) ?? [])].map((kind) => kind % 8)),
      ].sort();
    expect(kinds(images)).toEqual([1, 2, 3, 4]);
    expect(kinds(setOf(numbers(3 * 8 * 4), 1, 8, 4))).toEqual([2, 4]);
  });
});
