import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openSource } from "./openSource.node.ts";
import { clip, contents, writeTree } from "./sources.fixture.ts";

let root: string;
let folder: string;
let list: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "sheaf-csv-"));
});
afterAll(() => rm(root, { recursive: true }));
beforeEach(async () => {
  folder = await mkdtemp(join(root, "set-"));
  list = join(folder, "list.csv");
  await writeTree(folder, { "a.jpg": "aaa", "in/b.PNG": "bbb", "c,d.webp": "ccc", "w.wav": clip(1), "v.wav": clip(2) });
});

const write = (text: string): Promise<void> => writeTree(folder, { "list.csv": text });

describe("a CSV list", () => {
  test("names files relative to itself, in its order, with a part for each", async () => {
    await write('\uFEFFpath,label,split\r\nin/b.PNG,dog,train\r\n"c,d.webp","a ""cat""",TEST\r\n\r\na.jpg,dog,valid\r\n');
    const source = await openSource(list, {});
    expect(source.kind).toBe("image");
    expect(source.classNames).toEqual(['a "cat"', "dog"]);
    expect(await contents(source)).toEqual(["dog train 98 98 98", 'a "cat" test 99 99 99', "dog validation 97 97 97"]);
    expect(source.entries[0]?.where).toBe(join(folder, "in/b.PNG"));
  });

  test("may have its columns in any order and others beside them, absolute paths, and no parts", async () => {
    await write(`id,Label,Path\n1,x,${join(folder, "a.jpg")}\n2,y,./in/b.PNG\n`);
    expect(await contents(await openSource(list, {}))).toEqual(["x - 97 97 97", "y - 98 98 98"]);
  });

  test("of WAVs is audio", async () => {
    await write("path,label\nw.wav,yes\nv.wav,no\n");
    expect((await openSource(list, {})).kind).toBe("audio");
  });

  test("orders numbers by size and takes names from classes.txt", async () => {
    await write("path,label\na.jpg,10\nin/b.PNG,9\n");
    expect((await openSource(list, {})).classNames).toEqual(["9", "10"]);
    await writeTree(folder, { "classes.txt": Array.from({ length: 12 }, (_, i) => `class ${i}`).join("\n") });
    const named = await openSource(list, {});
    expect(named.classNames).toEqual(["class 9", "class 10"]);
    expect(named.entries.map(({ label }) => label)).toEqual([1, 0]);
  });

  test("keeps the order of classes.txt for labels that are names", async () => {
    await write("path,label\na.jpg,ant\nin/b.PNG,zebra\n");
    await writeTree(folder, { "classes.txt": "zebra\nant\n" });
    expect((await openSource(list, {})).classNames).toEqual(["zebra", "ant"]);
  });

  test("gives every label its own name, whatever the names", async () => {
    const label = fc
      .string({ minLength: 1, maxLength: 8, unit: "grapheme" })
      .filter((text) => text.trim() === text && !/[\0\uFEFF]/.test(text));
    const labels = fc.uniqueArray(fc.oneof(label, fc.nat({ max: 20 }).map(String)), { minLength: 3, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(labels, async (three) => {
        const cells = three.map((text) => `"${text.replaceAll('"', '""')}"`);
        await write(`path,label\na.jpg,${cells[0]}\nin/b.PNG,${cells[1]}\n"c,d.webp",${cells[2]}\n`);
        const { classNames, entries } = await openSource(list, {});
        const same = (text: string): string => (three.every((other) => /^\d+$/.test(other)) ? String(Number(text)) : text);
        expect(entries.map((entry) => classNames[entry.label])).toEqual(three.map(same));
      }),
      { numRuns: 60 },
    );
  });

  test("has a fingerprint of its text and its files", async () => {
    const seen = new Set<string>();
    const note = async (): Promise<void> => void seen.add((await openSource(list, {})).fingerprint);
    await write("path,label\na.jpg,1\nin/b.PNG,2\n");
    await note();
    await note();
    expect(seen.size).toBe(1);
    await write("path,label\na.jpg,2\nin/b.PNG,1\n");
    await note();
    await writeTree(folder, { "a.jpg": "longer" });
    await note();
    await writeTree(folder, { "classes.txt": "x\ny\nz\n" });
    await note();
    expect(seen.size).toBe(4);
  });
});

describe("refused, with line, expected and got:", () => {
  const refused = async (text: string, message: RegExp): Promise<void> => {
    await write(text);
    await expect(openSource(list, {})).rejects.toMatchObject({ code: "data", message: expect.stringMatching(message) });
  };
  const good = "path,label\na.jpg,x\n";

  test("a missing file", () => refused(`${good}\nin/gone.png,y\n`, /list\.csv line 4: expected a file at .*gone\.png, got nothing/));
  test("a folder", async () => {
    await mkdir(join(folder, "album.png"));
    await refused(`${good}album.png,y\n`, /line 3: expected a file at .*album\.png, got a folder/);
  });
  test("an extension that says nothing", () =>
    refused(`${good}notes.txt,y\n`, /line 3: expected a file with one of the extensions \.jpg, .*\.wav, got notes\.txt/));
  test("images and WAVs", () => refused(`${good}w.wav,y\n`, /line 3: expected one kind of files, image as in line 2, got w\.wav/));
  test("a file listed twice", () => refused(`${good}in/../a.jpg,y\n`, /line 3: in\/\.\.\/a\.jpg was listed in line 2 already/));
  test("a header without the columns", () =>
    refused("file;label\na.jpg;x\n", /line 1: expected the columns path and label, and perhaps split, got file;label/));
  test("an empty file, and a header alone", async () => {
    await refused("", /line 1: expected the columns path and label, .* got nothing/);
    await refused("path,label\n", /lists no files/);
  });
  test("an empty cell", () => refused(`${good}in/b.PNG,\n`, /line 3: expected a path and a label, got an empty label/));
  test("an unknown part", () =>
    refused("path,label,split\na.jpg,x,train\nin/b.PNG,y,dev\n", /line 3: expected as split train, validation or test, got "dev"/));
  test("no training part", () => refused("path,label,split\na.jpg,x,test\nin/b.PNG,y,test\n", /only a part test; expected a part train/));
  test("a row of the wrong length, and an open quote", async () => {
    await refused(`${good}in/b.PNG,y,z\n`, /list\.csv cannot be read as CSV: .*line 3/);
    await refused(`${good}"in/b.PNG,y\n`, /list\.csv cannot be read as CSV: .*line/);
  });
  test("one class", () => refused(`${good}in/b.PNG,x\n`, /two classes or more, got only "x"/));
  test("a label that classes.txt lacks", async () => {
    await writeTree(folder, { "classes.txt": "x\ny\n" });
    await refused(`${good}in/b.PNG,z\n`, /line 3: expected as label one of the 2 class names, got z/);
    await refused("path,label\na.jpg,0\nin/b.PNG,2\n", /line 3: expected as label a number below 2, .* got 2/);
  });
  test("a classes.txt with a name twice", async () => {
    await writeTree(folder, { "classes.txt": "x\ny\nx\n" });
    await refused(`${good}in/b.PNG,y\n`, /classes\.txt line 3: expected one class name a line, each once, got "x" a second time/);
  });
});
