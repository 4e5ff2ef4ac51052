import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openSource } from "./openSource.node.ts";
import { blocksOf } from "./parquetFile.node.ts";
import { clip, contents, parquet, picture, writeTree } from "./sources.fixture.ts";

let root: string;
let folder: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "sheaf-parquet-"));
});
afterAll(() => rm(root, { recursive: true }));
beforeEach(async () => {
  folder = await mkdtemp(join(root, "set-"));
});

const bytesOf = (value: number): Uint8Array => Uint8Array.of(value, 0xff, 0x80);
const rows = (count: number, classes = 3, first = 0): { bytes: Uint8Array; label: number }[] =>
  Array.from({ length: count }, (_, i) => ({ bytes: bytesOf(first + i), label: i % classes }));
const names = ["zebra", "ant", "cow"];

async function listed(path: string): Promise<{ contents: string[]; classNames: readonly string[]; kind: string }> {
  const source = await openSource(path, {});
  try {
    return { contents: await contents(source), classNames: source.classNames, kind: source.kind };
  } finally {
    await source.close?.();
  }
}

describe("a Parquet file", () => {
  test("gives bytes, labels and the class names of its metadata, across row groups and in any order", async () => {
    const path = join(folder, "set.parquet");
    await writeFile(path, parquet(rows(250), { names, rowGroupSize: 100 }));
    const source = await openSource(path, {});
    expect(source.kind).toBe("image");
    expect(source.classNames).toEqual(names);
    expect(source.entries[201]).toMatchObject({ label: 0, where: `${path} row 201`, split: undefined });
    const backwards = source.entries.map((entry, i) => ({ entry, i })).reverse();
    const read = await Promise.all(backwards.map(({ entry }) => entry.read()));
    expect(read).toEqual(backwards.map(({ i }) => bytesOf(i)));
    await source.close?.();
    await source.close?.();
  });

  test.each(["ZSTD", "SNAPPY", "GZIP", "BROTLI", "LZ4_RAW"])("written by Apache Arrow in Rust with %s is read", async (codec) => {
    const path = fileURLToPath(new URL(`../../../test/fixtures/parquet/arrowRust-${codec}.parquet`, import.meta.url));
    const source = await openSource(path, {});
    expect(source.classNames).toEqual(["ant", "bee", "cow", "dog"]);
    expect(source.entries.map(({ label }) => label)).toEqual(Array.from({ length: 25 }, (_, n) => n % 4));
    const read = await Promise.all(source.entries.map((entry) => entry.read()));
    expect(read).toEqual(Array.from({ length: 25 }, (_, n) => new Uint8Array(40).fill(n)));
    await source.close?.();
  });

  test("whose labels have no names calls the classes by their numbers", async () => {
    const path = join(folder, "set.parquet");
    await writeFile(path, parquet(rows(12, 12)));
    expect((await listed(path)).classNames).toEqual(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]);
  });

  test("with labels as text and images as plain bytes works", async () => {
    const path = join(folder, "set.parquet");
    const columnData = [
      { name: "img", data: [bytesOf(1), bytesOf(2)], type: "BYTE_ARRAY" as const },
      { name: "label", data: ["dog", "cat"], type: "STRING" as const },
    ];
    await writeFile(path, new Uint8Array(parquetWriteBuffer({ columnData })));
    expect((await listed(path)).contents).toEqual(["dog - 1 255 128", "cat - 2 255 128"]);
  });

  test("keeps coarse labels beside fine ones", async () => {
    const path = join(folder, "set.parquet");
    const columnData = [
      { name: "img", data: [1, 2, 3].map(bytesOf), type: "BYTE_ARRAY" as const },
      { name: "fine_label", data: [0, 1, 2], type: "INT32" as const },
      { name: "coarse_label", data: [5, 5, 9], type: "INT32" as const },
    ];
    await writeFile(path, new Uint8Array(parquetWriteBuffer({ columnData })));
    const source = await openSource(path, {});
    expect(source.coarse).toEqual({ classNames: ["5", "9"], labels: Uint16Array.of(0, 0, 1) });
    await source.close?.();
  });

  test("holds real pictures and clips", async () => {
    const image = await picture("png", 80);
    await writeTree(folder, { "a.parquet": parquet([0, 1].map((label) => ({ bytes: image, label }))) });
    const source = await openSource(join(folder, "a.parquet"), {});
    expect(Buffer.from((await source.entries[1]?.read()) as Uint8Array)).toEqual(Buffer.from(image));
    await source.close?.();
    const audio = [
      { path: "one.wav", label: 0 },
      { bytes: clip(2), label: 1 },
    ];
    await writeTree(folder, { "b.parquet": parquet(audio, { sample: "audio" }), "one.wav": clip(1) });
    const clips = await openSource(join(folder, "b.parquet"), {});
    expect(clips.kind).toBe("audio");
    expect(await clips.entries[0]?.read()).toEqual(Buffer.from(clip(1)));
    expect(Buffer.from((await clips.entries[1]?.read()) as Uint8Array)).toEqual(Buffer.from(clip(2)));
    await clips.close?.();
  });
});

describe("a folder of Parquet files", () => {
  const parts = {
    "train-00000-of-00002.parquet": parquet(rows(3), { names }),
    "train-00001-of-00002.parquet": parquet(rows(3, 3, 10), { names }),
    "test-00000-of-00001.parquet": parquet(rows(3, 3, 20), { names }),
    "validation-00000-of-00001.parquet": parquet(rows(3, 3, 30), { names }),
  };
  const expected = [
    ...["zebra test 20", "ant test 21", "cow test 22", "zebra train 0", "ant train 1", "cow train 2", "zebra train 10", "ant train 11"],
    ...["cow train 12", "zebra validation 30", "ant validation 31", "cow validation 32"],
  ].map((line) => `${line} 255 128`);

  test.each([
    ["", ""],
    ["data/", ""],
    ["plain_text/", ""],
  ])("is read in %j", async (below) => {
    await writeTree(folder, Object.fromEntries(Object.entries(parts).map(([name, bytes]) => [below + name, bytes])));
    await writeTree(folder, { "README.md": "# set", ".hidden/x.parquet": "no" });
    expect((await listed(folder)).contents).toEqual(expected);
  });

  test("may have a folder for each part", async () => {
    await writeTree(folder, { "default/train/0000.parquet": parquet(rows(3)), "default/test/0000.parquet": parquet(rows(2, 3, 5)) });
    expect((await listed(folder)).contents.map((line) => line.slice(0, 8))).toEqual([
      "0 test 5",
      "1 test 6",
      "0 train ",
      "1 train ",
      "2 train ",
    ]);
  });

  test("must be one data set with a training part", async () => {
    await writeTree(folder, { "a/train-0.parquet": parquet(rows(3)), "b/train-0.parquet": parquet(rows(3)) });
    await expect(openSource(folder, {})).rejects.toThrow(/several folders \(a, b\)/);
    await writeTree(folder, { "test-0.parquet": parquet(rows(3)) });
    await expect(openSource(folder, {})).rejects.toThrow(/only a part test; expected a part train/);
    await writeTree(folder, { "extra.parquet": parquet(rows(3)) });
    await expect(openSource(folder, {})).rejects.toThrow(/extra\.parquet: expected a name that begins with the part/);
  });

  test("must have the same columns and names in all files", async () => {
    await writeTree(folder, { "train-0.parquet": parquet(rows(3), { names }), "test-0.parquet": parquet(rows(3)) });
    await expect(openSource(folder, {})).rejects.toThrow(/train-0\.parquet has other columns or class names than .*test-0\.parquet/);
  });
});

describe("refused, with path, expected and got:", () => {
  const refused = async (bytes: Uint8Array, message: RegExp): Promise<void> => {
    await writeTree(folder, { "set.parquet": bytes });
    await expect(openSource(join(folder, "set.parquet"), {})).rejects.toMatchObject({
      code: "data",
      message: expect.stringMatching(message),
    });
  };

  test("a file without labels", () =>
    refused(parquet(rows(3), { label: "" }), /set\.parquet: expected a column label or fine_label, got the columns image/));
  test("a file without samples", () =>
    refused(parquet(rows(3), { sample: "text" }), /expected a column image, img or audio .* got the columns text, label/));
  test("a label beyond the class names", () =>
    refused(parquet([...rows(3), { bytes: bytesOf(1), label: 3 }], { names }), /row 3: expected as label a number below 3, .* got 3/));
  test("a hidden label", () => refused(parquet([...rows(3), { bytes: bytesOf(1), label: -1 }], { names }), /row 3: .* got -1/));
  test("one class", () => refused(parquet(rows(3, 1), { names }), /two classes or more, got only "zebra"/));
  test("a file cut short", async () => {
    const whole = parquet(rows(30));
    await refused(whole.subarray(0, whole.length - 20), /set\.parquet cannot be read as Parquet: .*damaged/);
    await refused(new Uint8Array(0), /set\.parquet cannot be read as Parquet/);
  });

  test("a row with no bytes and no path, when it is read", async () => {
    await writeTree(folder, { "set.parquet": parquet([{ label: 0 }, { bytes: bytesOf(1), label: 1 }]) });
    const source = await openSource(join(folder, "set.parquet"), {});
    await expect(source.entries[0]?.read()).rejects.toThrow(/set\.parquet row 0: expected encoded bytes in the column image, got nothing/);
    await source.close?.();
  });
});

test("large row groups are read in parts where pages are indexed, whole otherwise", () => {
  const metadata = (indexed: boolean): Parameters<typeof blocksOf>[0] => ({
    row_groups: [100n, 7n].map((num_rows, i) => ({
      num_rows,
      total_byte_size: 0n,
      columns: ["bytes", "path"].map((field) => ({
        file_offset: 0n,
        ...(indexed && { offset_index_offset: 1n }),
        meta_data: { path_in_schema: ["image", field], total_uncompressed_size: i === 0 ? 100n << 20n : 10n } as never,
      })),
    })),
  });
  expect(blocksOf(metadata(false), "image")).toEqual([
    { start: 0, end: 100 },
    { start: 100, end: 107 },
  ]);
  expect(blocksOf(metadata(true), "image")).toEqual([
    { start: 0, end: 25 },
    { start: 25, end: 50 },
    { start: 50, end: 75 },
    { start: 75, end: 100 },
    { start: 100, end: 107 },
  ]);
});

test("the fingerprint changes with a file", async () => {
  const path = join(folder, "set.parquet");
  const fingerprint = async (): Promise<string> => {
    const source = await openSource(path, {});
    await source.close?.();
    return source.fingerprint;
  };
  await writeFile(path, parquet(rows(3)));
  const before = await fingerprint();
  expect(await fingerprint()).toBe(before);
  await writeFile(path, parquet(rows(4)));
  expect((await stat(path)).size).toBeGreaterThan(0);
  expect(await fingerprint()).not.toBe(before);
});
