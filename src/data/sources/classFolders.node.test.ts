import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openSource } from "./openSource.node.ts";
import { clip, picture, writeTree } from "./sources.fixture.ts";

let root: string;
let folder: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "sheaf-folders-"));
});
afterAll(() => rm(root, { recursive: true }));
beforeEach(async () => {
  folder = await mkdtemp(join(root, "set-"));
});

/** Writes empty files; what is in them does not matter to a listing. */
const touch = (...paths: string[]): Promise<void> => writeTree(folder, Object.fromEntries(paths.map((path) => [path, "x"])));

async function listed(path = folder): Promise<string[]> {
  const { entries, classNames } = await openSource(path, {});
  return entries.map(({ where, label, split }) => `${where.slice(path.length + 1)} ${classNames[label]} ${split ?? "-"}`);
}

describe("a folder of images", () => {
  test("has a class for each folder, sorted; any case, any depth, no hidden files", async () => {
    await touch(
      "dog/b.JPG",
      "dog/a.jpeg",
      "cat/deep/er/z.WebP",
      "cat/a.png",
      "Zebra/1.jpg",
      "cat/notes.txt",
      "cat/.hidden.png",
      ".git/x.png",
      "__MACOSX/dog/._a.jpg",
      "readme.md",
    );
    expect(await listed()).toEqual([
      "Zebra/1.jpg Zebra -",
      "cat/a.png cat -",
      "cat/deep/er/z.WebP cat -",
      "dog/a.jpeg dog -",
      "dog/b.JPG dog -",
    ]);
    const source = await openSource(folder, {});
    expect(source.kind).toBe("image");
    expect(source.title).toBe(`image folder ${folder}`);
    expect(source.classNames).toEqual(["Zebra", "cat", "dog"]);
  });

  test("gives the bytes of its files", async () => {
    const formats = ["jpeg", "png", "webp"] as const;
    const pictures = await Promise.all(formats.map((format, i) => picture(format, 50 * i)));
    await writeTree(folder, Object.fromEntries(formats.map((format, i) => [`c${i}/a.${format}`, pictures[i] as Uint8Array])));
    const source = await openSource(folder, {});
    const read = await Promise.all(source.entries.map((entry) => entry.read()));
    expect(read.map((bytes) => Buffer.from(bytes as Uint8Array))).toEqual(pictures.map((bytes) => Buffer.from(bytes)));
  });

  test.each(["val", "valid", "Validation"])("may have parts, %s among them", async (validation) => {
    await touch("train/dog/1.jpg", "train/cat/2.jpg", "Test/dog/3.jpg", `${validation}/cat/4.jpg`, "meta/about.txt");
    const lines = [
      "Test/dog/3.jpg dog test",
      "train/cat/2.jpg cat train",
      "train/dog/1.jpg dog train",
      `${validation}/cat/4.jpg cat validation`,
    ];
    expect((await listed()).sort()).toEqual(lines.sort());
  });

  test("may have a class that is called as a part is", async () => {
    await touch("train/1.jpg", "bus/2.jpg");
    expect(await listed()).toEqual(["bus/2.jpg bus -", "train/1.jpg train -"]);
  });

  test("follows links", async () => {
    await touch("one/a/1.jpg", "two/2.jpg");
    await symlink(join(folder, "two/2.jpg"), join(folder, "one/linked.png"));
    await symlink(join(folder, "two"), join(folder, "three"));
    expect(await listed()).toEqual(["one/a/1.jpg one -", "one/linked.png one -", "three/2.jpg three -", "two/2.jpg two -"]);
  });

  test("is found again by its fingerprint, which changes with names, sizes and times", async () => {
    await touch("a/1.jpg", "b/2.jpg");
    const fingerprint = async (): Promise<string> => (await openSource(folder, {})).fingerprint;
    const seen = [await fingerprint()];
    expect(await fingerprint()).toBe(seen[0]);
    await utimes(join(folder, "a/1.jpg"), 1000, 1000);
    seen.push(await fingerprint());
    await touch("b/3.jpg");
    seen.push(await fingerprint());
    await rm(join(folder, "b/2.jpg"));
    seen.push(await fingerprint());
    expect(new Set(seen).size).toBe(4);
    expect(seen[0]).toMatch(/^[0-9a-f]{64}$/);
  });

  test("is listed the same whatever the order of creation, every file once", async () => {
    const name = fc.stringMatching(/^[a-zA-Z0-9 _-]{0,5}[a-z0-9]$/);
    const path = fc.tuple(
      fc.constantFrom("A", "b", "c c"),
      fc.array(name, { maxLength: 2 }),
      name,
      fc.constantFrom(".jpg", ".PNG", ".webp"),
    );
    const extra = ["A/first.jpg", "b/first.jpg", "c c/first.jpg"];
    await fc.assert(
      fc.asyncProperty(fc.array(path, { maxLength: 12 }), fc.infiniteStream(fc.nat()), async (drawn, keys) => {
        const paths = [...new Set([...extra, ...drawn.map(([top, inner, file, ending]) => [top, ...inner, file + ending].join("/"))])];
        const shuffled = paths.map((item) => ({ item, key: keys.next().value as number })).sort((x, y) => x.key - y.key);
        const made: string[] = [];
        const listings: string[][] = [];
        for (const order of [paths, shuffled.map(({ item }) => item)]) {
          const set = await mkdtemp(join(root, "order-"));
          for (const item of order) {
            await mkdir(dirname(join(set, item)), { recursive: true });
            await writeFile(join(set, item), "x");
            await utimes(join(set, item), 5, 5);
          }
          const source = await openSource(set, {});
          listings.push(source.entries.map(({ where }) => where.slice(set.length + 1)));
          made.push(source.fingerprint);
        }
        expect(listings[1]).toEqual(listings[0]);
        expect([...(listings[0] ?? [])].sort()).toEqual([...paths].sort());
        expect(made[1]).toBe(made[0]);
      }),
      { numRuns: 30 },
    );
  });
});

describe("a folder of WAVs", () => {
  test("keeps background noise apart", async () => {
    await writeTree(folder, {
      "yes/1.wav": clip(1),
      "no/2.WAV": clip(2),
      "_background_noise_/rain.wav": clip(3),
      "_background_noise_/README.md": "x",
    });
    const source = await openSource(folder, {});
    expect(source.kind).toBe("audio");
    expect(source.classNames).toEqual(["no", "yes"]);
    expect(source.noise).toEqual([join(folder, "_background_noise_/rain.wav")]);
    expect(await source.entries[1]?.read()).toEqual(Buffer.from(clip(1)));
  });

  test("may have parts", async () => {
    await touch("train/yes/1.wav", "train/no/1.wav", "test/yes/2.wav", "test/no/2.wav");
    expect(await listed()).toEqual([
      "test/no/2.wav no test",
      "test/yes/2.wav yes test",
      "train/no/1.wav no train",
      "train/yes/1.wav yes train",
    ]);
    expect((await openSource(folder, {})).noise).toBeUndefined();
  });
});

describe("refused, with path, expected and got:", () => {
  const refused = (message: RegExp): Promise<void> =>
    expect(openSource(folder, {})).rejects.toMatchObject({ code: "data", message: expect.stringMatching(message) });

  test("an empty class folder", async () => {
    await touch("a/1.jpg", "b/2.jpg");
    await mkdir(join(folder, "empty"));
    await refused(/The class folder .*empty holds no files; expected images \(JPEG, PNG or WebP\); add some or remove the folder/);
    await touch("empty/x.gif", "empty/y.tiff");
    await refused(/empty holds only other files \(\.gif, \.tiff\)/);
  });
  test("only one class", async () => {
    await touch("a/1.jpg");
    await refused(/two classes or more, got only "a"; add another class/);
  });
  test("a folder named like a file", async () => {
    await touch("a/1.jpg", "b/photo.jpg/2.jpg");
    await refused(/photo\.jpg is a folder; expected a file, as its name says/);
  });
  test("images and WAVs together", async () => {
    await touch("a/1.jpg", "b/2.jpg", "b/3.wav");
    await refused(/3\.wav is in a data set of images .*; expected one kind of files/);
  });
  test("a broken link, and a link that leads back", async () => {
    await touch("a/1.jpg", "b/2.jpg");
    await symlink(join(folder, "nowhere"), join(folder, "a/gone.jpg"));
    await refused(/gone\.jpg leads to nothing: expected a file, got a broken link/);
    await rm(join(folder, "a/gone.jpg"));
    await symlink(join(folder, "a"), join(folder, "a/again"));
    await refused(/again is a link to a folder that it lies in/);
  });
  test("a class that the training part lacks", async () => {
    await touch("train/a/1.jpg", "train/b/1.jpg", "test/c/1.jpg");
    await refused(/test.c is a class that the training part lacks; expected one of its 2 classes/);
  });
  test("parts without a training part", async () => {
    await touch("test/a/1.jpg", "val/b/1.jpg");
    await refused(/but no training part; expected a folder train/);
  });
  test("a part without class folders", async () => {
    await touch("train/a/1.jpg", "train/b/1.jpg", "test/1.jpg");
    await refused(/test holds no class folders; expected one folder of images/);
  });
  test("parts and classes side by side", async () => {
    await touch("train/a/1.jpg", "train/b/1.jpg", "dogs/1.jpg");
    await refused(/dogs lies beside .*train, which holds class folders .*; expected either parts alone/);
  });
  test("one part under two names", async () => {
    await touch("train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "valid/a/1.jpg");
    await refused(/val and .*valid are both the part validation/);
  });
});

test("a listing can be stopped", async () => {
  await touch("a/1.jpg", "b/2.jpg");
  await expect(openSource(folder, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "interrupted" });
});
