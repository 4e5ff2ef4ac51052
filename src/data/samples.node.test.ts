import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { random } from "../util/random.ts";
import { fillBatch } from "./augment.ts";
import { type Dataset, type SampleDType, type SampleValues, takeSamples } from "./dataset.ts";
import { openSamples } from "./samples.node.ts";
import { openMemorySamples } from "./samples.ts";

const shape = { channels: 2, height: 3, width: 2 };
const count = 9;
const size = 12;

function values(dtype: SampleDType): SampleValues {
  const source = random(4, dtype);
  const draw = { length: count * size };
  if (dtype === "uint8") return Uint8Array.from(draw, () => source.below(256));
  if (dtype === "int16") return Int16Array.from(draw, () => source.below(65536) - 32768);
  return Float32Array.from(draw, () => source.normal());
}

function datasetOf(store: Dataset["store"]): Dataset {
  const labels = Uint16Array.from({ length: count }, (_, i) => i % 3);
  return {
    name: "set",
    classNames: ["a", "b", "c"],
    shape,
    labels,
    store,
    mean: [1, 2],
    std: [3, 4],
    provenance: { source: "made up", sha256: "0" },
  };
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sheaf-samples-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function both(dtype: SampleDType): Promise<{ memory: Dataset; file: Dataset }> {
  const all = values(dtype);
  const path = join(folder, `${dtype}.bin`);
  await writeFile(path, new Uint8Array(all.buffer));
  return { memory: datasetOf({ type: "memory", values: all }), file: datasetOf({ type: "file", path, dtype, bytes: all.byteLength }) };
}

describe.each(["uint8", "int16", "float32"] as const)("records of %s", (dtype) => {
  test("are the same from memory and from a file, in whole sets and views", async () => {
    const { memory, file } = await both(dtype);
    fc.assert(
      fc.property(fc.array(fc.nat(count - 1), { minLength: 1, maxLength: 12 }), fc.boolean(), (indices, view) => {
        using a = openMemorySamples(view ? takeSamples(memory, indices) : memory);
        using b = openSamples(view ? takeSamples(file, indices) : file);
        const asked = view ? [...indices.keys()].reverse() : indices;
        for (const index of asked) expect([...b.record(index)]).toEqual([...a.record(index)]);
        const first = a.read(asked);
        const second = b.read(asked);
        asked.forEach((_, n) => {
          const from = [first.offsets[n] ?? 0, second.offsets[n] ?? 0] as const;
          expect([...second.values.subarray(from[1], from[1] + size)]).toEqual([...first.values.subarray(from[0], from[0] + size)]);
        });
      }),
      { numRuns: 30 },
    );
  });

  test("fill the same batches, augmented", async () => {
    const { memory, file } = await both(dtype);
    const fill = (dataset: Dataset): number[] => {
      using samples = openSamples(dataset);
      const into = new Float32Array(5 * size);
      fillBatch(into, samples, [8, 0, 3, 3, 1], { crop: 1, flip: true, cutout: 1 }, random(2), dataset);
      return [...into];
    };
    expect(fill(file)).toEqual(fill(memory));
  });
});

test("float values are normalised as bytes are", async () => {
  const bytes = values("uint8");
  const fill = (values: SampleValues): Float32Array => {
    const dataset = datasetOf({ type: "memory", values });
    const into = new Float32Array(4 * size);
    fillBatch(into, openMemorySamples(dataset), [0, 5, 6, 2], { crop: 1, flip: true, cutout: 2 }, random(7), dataset);
    return into;
  };
  expect([...fill(Float32Array.from(bytes))]).toEqual([...fill(bytes)]);
});

test("a cut, grown or missing file is refused with its path", async () => {
  const { file } = await both("uint8");
  const { store } = file;
  if (store.type !== "file") throw new Error("not a file");
  const cut = join(folder, "cut.bin");
  await writeFile(cut, new Uint8Array(store.bytes - 1));
  expect(() => openSamples({ ...file, store: { ...store, path: cut } })).toThrow(`${cut} has ${store.bytes - 1} bytes`);
  expect(() => openSamples({ ...file, store: { ...store, path: join(folder, "none.bin") } })).toThrow(
    /none\.bin cannot be opened \(ENOENT\)/,
  );
  expect(() => openMemorySamples(file)).toThrow(/can only be read in Node/);
});

test("what is closed stays closed, and an index out of range is refused", async () => {
  const { file } = await both("uint8");
  const samples = openSamples(file);
  expect(() => samples.record(count)).toThrow(/samples 0 to 8, but sample 9/);
  samples.close();
  samples.close();
  expect(() => samples.record(0)).toThrow(/after they were closed/);
});
