import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openSource } from "./openSource.node.ts";
import type { SampleSource } from "./source.ts";
import { npy, writeTree, zip } from "./sources.fixture.ts";

const fixtures = fileURLToPath(new URL("../../../test/fixtures/arrays", import.meta.url));
let root: string;
let folder: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "sheaf-arrays-"));
});
afterAll(() => rm(root, { recursive: true }));
beforeEach(async () => {
  folder = await mkdtemp(join(root, "set-"));
});

async function using<T>(path: string, use: (source: SampleSource) => Promise<T>): Promise<T> {
  const source = await openSource(path, {});
  try {
    return await use(source);
  } finally {
    await source.close?.();
  }
}

/** Image n as makeArrays.py draws it. */
const drawn = (n: number, channels: number): Uint8Array =>
  Uint8Array.from({ length: channels * 30 }, (_, i) => (i % 30 === 0 ? 7 : n + 100 * Math.floor(i / 30)));

const range = (count: number, first = 0): Uint8Array => Uint8Array.from({ length: count }, (_, i) => first + i);
/** Arrays that make a small data set: four grey images of 2x2, two classes. */
const smallArrays = { images: npy(range(16), "|u1", [4, 2, 2]), labels: npy(Int32Array.of(0, 1, 0, 1), "<i4", [4]) };
const asMembers = (arrays: Readonly<Record<string, Uint8Array>>): Record<string, Uint8Array> =>
  Object.fromEntries(Object.entries(arrays).map(([name, bytes]) => [`${name}.npy`, bytes]));

async function refused(arrays: Readonly<Record<string, Uint8Array>>, message: RegExp): Promise<void> {
  await writeTree(folder, { "set.npz": zip(asMembers(arrays)), ...asMembers(arrays) });
  for (const path of [join(folder, "set.npz"), folder]) {
    await expect(openSource(path, {})).rejects.toMatchObject({ code: "data", message: expect.stringMatching(message) });
  }
}

describe("files that NumPy wrote", () => {
  test("in the manner of Keras: channels last, stored, labels [N, 1], class names as text", async () => {
    await using(join(fixtures, "keras.npz"), async (source) => {
      expect(source.kind).toBe("array");
      expect(source.array).toEqual({ shape: { channels: 2, height: 5, width: 6 }, dtype: "uint8" });
      expect(source.classNames).toEqual(["ant", "bee", "käfer"]);
      expect(source.entries.map(({ label, split }) => `${split} ${label}`)).toEqual([
        ...["train 0", "train 1", "train 2", "train 0", "train 1", "train 2", "test 2", "test 1", "test 0"],
      ]);
      const read = await Promise.all(source.entries.map((entry) => entry.read()));
      expect(read).toEqual([0, 1, 2, 3, 4, 5, 50, 51, 52].map((n) => drawn(n, 2)));
    });
  });

  test("in the manner of MedMNIST: grey, compressed, three parts", async () => {
    await using(join(fixtures, "medmnist.npz"), async (source) => {
      expect(source.array?.shape).toEqual({ channels: 1, height: 5, width: 6 });
      expect(source.classNames).toEqual(["0", "1", "2"]);
      expect(source.entries.map(({ split }) => split)).toEqual([
        ...["train", "train", "train", "train", "train", "train", "validation", "validation", "validation", "test", "test", "test"],
      ]);
      expect(await source.entries[4]?.read()).toEqual(drawn(4, 1));
      expect(await source.entries[11]?.read()).toEqual(drawn(52, 1));
    });
  });

  test("as a folder: big-endian float64, channels first, header version 3", async () => {
    await cp(join(fixtures, "float64BigEndian.npy"), join(folder, "images.npy"));
    await cp(join(fixtures, "version3.npy"), join(folder, "labels.npy"));
    await writeTree(folder, { "classes.txt": "ant\nbee\ncow\n" });
    await using(folder, async (source) => {
      expect(source.array).toEqual({ shape: { channels: 2, height: 5, width: 6 }, dtype: "float32" });
      expect(source.classNames).toEqual(["ant", "bee", "cow"]);
      expect(await source.entries[3]?.read()).toEqual(Float32Array.from(drawn(3, 2), (value) => value / 255));
      expect(source.entries[3]?.where).toBe(`${join(folder, "images.npy")} row 3`);
    });
  });

  test("in Fortran order, or of Python objects, are refused with a remedy", async () => {
    await writeTree(folder, { "labels.npy": await readFile(join(fixtures, "version3.npy")) });
    await cp(join(fixtures, "fortran.npy"), join(folder, "images.npy"));
    await expect(openSource(folder, {})).rejects.toThrow(
      /images\.npy: expected images in C order, got Fortran order; write numpy\.ascontiguousarray/,
    );
    await cp(join(fixtures, "objects.npy"), join(folder, "images.npy"));
    await expect(openSource(folder, {})).rejects.toThrow(/images\.npy: expected an array of numbers or text, got the header .*'\|O'/);
  });
});

test("every image of any layout, type, order and packing comes back", async () => {
  const shapes = fc.record({
    count: fc.integer({ min: 2, max: 40 }),
    channels: fc.constantFrom(1, 3),
    side: fc.integer({ min: 5, max: 9 }),
  });
  const how = fc.record({
    last: fc.boolean(),
    descr: fc.constantFrom("|u1", "<f4", "<f8", "<i2", ">u2"),
    method: fc.constantFrom("stored", "deflated"),
  });
  await fc.assert(
    fc.asyncProperty(shapes, how, async ({ count, channels, side }, { last, descr, method }) => {
      const area = side * side;
      const value = (n: number, c: number, p: number): number => (n * 31 + c * 7 + p) % 251;
      const ordered = Float64Array.from({ length: count * channels * area }, (_, i) => {
        const n = Math.floor(i / (channels * area));
        const inner = i % (channels * area);
        return last ? value(n, inner % channels, Math.floor(inner / channels)) : value(n, Math.floor(inner / area), inner % area);
      });
      const big = new Uint8Array(ordered.length * 2);
      ordered.forEach((v, i) => {
        new DataView(big.buffer).setUint16(2 * i, v, false);
      });
      const stored = {
        "|u1": Uint8Array.from(ordered),
        "<f4": Float32Array.from(ordered),
        "<f8": ordered,
        "<i2": Int16Array.from(ordered),
        ">u2": big,
      }[descr];
      const shape = last ? [count, side, side, channels] : [count, channels, side, side];
      const labels = Uint8Array.from({ length: count }, (_, i) => i % 2);
      const members = { "images.npy": npy(stored as Uint8Array, descr, shape), "labels.npy": npy(labels, "|u1", [count]) };
      const path = join(folder, "any.npz");
      await writeFile(path, zip(members, method as "stored"));
      await using(path, async (source) => {
        expect(source.array).toEqual({ shape: { channels, height: side, width: side }, dtype: descr === "|u1" ? "uint8" : "float32" });
        const read = await Promise.all(source.entries.map((entry) => entry.read()));
        const wanted = Array.from({ length: count * channels * area }, (_, i) =>
          value(Math.floor(i / (channels * area)), Math.floor(i / area) % channels, i % area),
        );
        expect(read.flatMap((sample) => [...sample])).toEqual(wanted);
      });
    }),
    { numRuns: 40 },
  );
});

test("arrays of several blocks are read by place, in any order", async () => {
  const count = 700;
  const side = 64; // 700 x 4 KiB: three blocks
  const images = new Uint8Array(count * side * side);
  for (let n = 0; n < count; n++) images.fill(n % 256, n * side * side, (n + 1) * side * side);
  const members = {
    "x_train.npy": npy(images, "|u1", [count, side, side]),
    "y_train.npy": npy(
      images.filter((_, i) => i % (side * side) === 0).map((v) => v % 2),
      "|u1",
      [count],
    ),
  };
  for (const method of ["stored", "deflated"] as const) {
    const path = join(folder, `${method}.npz`);
    await writeFile(path, zip(members, method));
    await using(path, async (source) => {
      for (const n of [699, 0, 255, 256, 512, 511, 300]) {
        const sample = (await source.entries[n]?.read()) as Uint8Array;
        expect([sample.length, sample[0], sample.at(-1)]).toEqual([side * side, n % 256, n % 256]);
      }
    });
  }
});

test("nothing is left in the temporary folder, even while the data set is open", async () => {
  const left = async (): Promise<string[]> => (await readdir(tmpdir())).filter((name) => name.startsWith("sheaf-npz-"));
  const before = await left();
  await using(join(fixtures, "medmnist.npz"), async (source) => {
    await source.entries[0]?.read();
    expect(await left()).toEqual(before);
  });
});

test("an entry cannot be read after the data set was closed", async () => {
  const source = await openSource(join(fixtures, "medmnist.npz"), {});
  await source.close?.();
  await source.close?.();
  await expect(source.entries[0]?.read()).rejects.toThrow();
});

describe("refused, with path, expected and got:", () => {
  const { images, labels } = smallArrays;
  test("(the small arrays themselves are fine)", async () => {
    await writeTree(folder, { "set.npz": zip(asMembers(smallArrays)) });
    await using(join(folder, "set.npz"), async (source) => expect(await source.entries[3]?.read()).toEqual(range(4, 12)));
  });
  test("more labels than images", () =>
    refused({ images, labels: npy(range(5), "|u1", [5]) }, /labels.* has 5 labels, but .*images.* has 4 images; expected as many/));
  test("images without labels", () =>
    refused({ images }, /has images without its labels; expected labels or y or targets beside it, got images/));
  test("test arrays without training arrays", () => refused({ x_test: images, y_test: labels }, /only a part test; expected a part train/));
  test("arrays of other names", () =>
    refused({ arr_0: images, arr_1: labels }, /expected the arrays x_train and y_train .* got arr_0, arr_1/));
  test("parts of different shapes", () =>
    refused(
      { x_train: images, y_train: labels, x_test: npy(range(12), "|u1", [2, 2, 3]), y_test: npy(range(2), "|u1", [2]) },
      /\[1, 2, 3\] of type u1, but .*\[1, 2, 2\]/,
    ));
  test("rows of numbers that are no images", () =>
    refused({ images: npy(range(16), "|u1", [4, 4]), labels }, /expected images as .* got the shape \(4, 4\)/));
  test("axes that could be either", () =>
    refused({ images: npy(new Uint8Array(4 * 7 * 8 * 9), "|u1", [4, 7, 8, 9]), labels }, /so that one can tell which.*\(4, 7, 8, 9\)/));
  test("one-hot labels", () =>
    refused({ images, labels: npy(range(8), "|u1", [4, 2]) }, /expected one label for each image.*\(4, 2\).*argmax/));
  test("labels that are no whole numbers", () =>
    refused({ images, labels: npy(Float32Array.of(0, 1, 0.5, 1), "<f4", [4]) }, /row 2: expected as label a whole number.*got 0\.5/));
  test("a negative label", () => refused({ images, labels: npy(Int8Array.of(0, 1, 1, -1), "|i1", [4]) }, /row 3: .* got -1/));
  test("only one class", () => refused({ images, labels: npy(new Uint8Array(4), "|u1", [4]) }, /two classes or more, got only "0"/));
  test("text as images", () =>
    refused({ images: npy(new Uint8Array(16), "|S1", [4, 2, 2]), labels }, /expected images as numbers, got the type S1/));
  test("an array cut short", () =>
    refused(
      { images: images.subarray(0, images.length - 1), labels },
      /images.*: expected \d+ bytes for the shape \(4, 2, 2\) of type u1, got \d+: it is cut short/,
    ));
  test("other bytes", () => refused({ images: range(50), labels }, /images.*: expected an array in NumPy's \.npy format, got other bytes/));

  test("a label beyond the class names", async () => {
    await writeTree(folder, { "classes.txt": "one\n", "set.npz": zip(asMembers(smallArrays)) });
    await expect(openSource(join(folder, "set.npz"), {})).rejects.toThrow(
      /labels\.npy\) row 1: expected as label a number below 1, .* got 1/,
    );
  });

  test("a damaged ZIP file", async () => {
    const path = join(folder, "set.npz");
    const whole = zip(asMembers(smallArrays));
    for (const length of [0, 10, whole.length - 30]) {
      await writeFile(path, whole.subarray(0, length));
      await expect(openSource(path, {})).rejects.toThrow(/set\.npz cannot be read as part of a ZIP file: .*damaged/);
    }
  });

  test.each(["stored", "deflated"] as const)("a %s member whose bytes changed, when it is read", async (method) => {
    const path = join(folder, "set.npz");
    const images = npy(range(240), "|u1", [4, 6, 10]);
    const whole = Buffer.from(zip(asMembers({ images, labels }), method));
    const at = method === "stored" ? whole.indexOf(Buffer.from(range(240))) + 200 : whole.indexOf("PK\x03\x04", 10, "latin1") - 60;
    whole[at] = (whole[at] ?? 0) ^ 0x10;
    await writeFile(path, whole);
    await expect(using(path, async (source) => source.entries[3]?.read())).rejects.toMatchObject({
      code: "data",
      message: expect.stringMatching(/images\.npy\).*damaged/),
    });
  });

  test("NaN, when it is read", async () => {
    const values = new Float32Array(16);
    values[9] = Number.NaN;
    await writeTree(folder, { "set.npz": zip(asMembers({ images: npy(values, "<f4", [4, 2, 2]), labels })) });
    await using(join(folder, "set.npz"), async (source) => {
      expect(await source.entries[1]?.read()).toEqual(new Float32Array(4));
      await expect(source.entries[2]?.read()).rejects.toThrow(/images\.npy\) row 2: expected finite numbers, got NaN/);
    });
  });
});
