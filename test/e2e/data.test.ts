/** `sheaf data`: looking into sets, naming one's own, forgetting them; with pictures that can be opened and failures in one sentence. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ErrorCode, exitCodes } from "../../src/util/errors.ts";
import { built, json, type Scratch, scratch, sheaf, succeed } from "./sheaf.ts";

interface Inspected {
  readonly name: string;
  readonly train: number;
  readonly test: number;
  readonly classes: readonly { readonly label: string; readonly train: number; readonly test: number }[];
  readonly shape: readonly number[];
  readonly skipped: { readonly count: number; readonly first: readonly { readonly where: string }[] };
  readonly devices: readonly { readonly id: string; readonly own: readonly number[]; readonly background: readonly number[] }[];
  readonly noPlan?: string;
  readonly files: readonly string[];
}
const sum = (counts: readonly number[]): number => counts.reduce((total, each) => total + each, 0);

describe.skipIf(!built)("sheaf data", () => {
  let folder: Scratch;
  beforeAll(async () => {
    folder = await scratch("data");
    for (const [c, name] of ["dark", "light", "odd"].entries()) {
      await mkdir(folder.at("photos", name), { recursive: true });
      for (let i = 0; i < 10; i++) {
        const background = { r: 100 * c + i, g: 100 * c, b: 80 };
        await sharp({ create: { width: 40 + i, height: 30, channels: 3, background } })
          .png()
          .toFile(folder.at("photos", name, `${i}.png`));
      }
    }
    await writeFile(folder.at("photos/odd/x.png"), "no picture");
  });
  afterAll(() => folder.remove());
  const at = (): { cwd: string } => ({ cwd: folder.path });
  const fails = async (args: readonly string[], kind: ErrorCode, says: RegExp): Promise<void> => {
    const { code, stderr } = await sheaf(args, at());
    expect({ code, sentence: stderr.trimEnd().split("\n").at(-1) }).toEqual({
      code: exitCodes[kind],
      sentence: expect.stringMatching(says),
    });
  };

  it("inspect glyphs: counts, holdings under the partition, pictures", async () => {
    const data = (await json(
      ["data", "inspect", "glyphs", "--train-count", "200", "--test-count", "20", "--network", "tiny", "--out", "look"],
      at(),
    )) as Inspected;
    expect(data.classes.map(({ train, test }) => [train, test])).toEqual(Array(10).fill([20, 2]));
    expect(data.noPlan).toBeUndefined();
    expect(data.devices).toHaveLength(5);
    // By class, with one owner each: all of a class is with its owner.
    expect(data.classes.map((_, c) => sum(data.devices.map(({ own }) => own[c] ?? 0)))).toEqual(Array(10).fill(20));
    for (const { own, background } of data.devices) expect(own.some((held, c) => held > 0 && (background[c] ?? 0) > 0)).toBe(false);

    expect((await readdir(folder.at("look"))).sort()).toEqual([
      "counts.png",
      "counts.svg",
      "holdings.png",
      "holdings.svg",
      "inspect.html",
      "samples.png",
      "samples.svg",
    ]);
    expect(data.files).toHaveLength(7);
    for (const name of ["counts", "holdings", "samples"]) {
      const { width = 0, height = 0, format } = await sharp(folder.at(`look/${name}.png`)).metadata();
      expect(format).toBe("png");
      const [, svgWidth, svgHeight] = /width="(\d+)" height="(\d+)"/.exec(await readFile(folder.at(`look/${name}.svg`), "utf8")) ?? [];
      expect([width, height]).toEqual([2 * Number(svgWidth), 2 * Number(svgHeight)]);
      // Something is drawn.
      expect((await sharp(folder.at(`look/${name}.png`)).stats()).entropy).toBeGreaterThan(0.3);
    }
    const page = await readFile(folder.at("look/inspect.html"), "utf8");
    expect(page).toContain("What each device holds");
    expect(page).not.toMatch(/(?:src|href)="(?!data:)/);
  });

  it("inspect follows the configuration, and without a plan says why and shows the rest", async () => {
    const base = ["data", "inspect", "glyphs", "--train-count", "200", "--test-count", "20", "--network", "tiny"];
    const dirichlet = (await json(
      [...base, "--set", "partition.type=dirichlet", "--set", "partition.alpha=1", "--rho", "1"],
      at(),
    )) as Inspected;
    expect(sum(dirichlet.devices.flatMap(({ own, background }) => [...own, ...background]))).toBe(200);
    const without = (await json([...base, "--set", "fleet.deadlineSeconds=0.000001"], at())) as Inspected;
    expect(without.noPlan).toMatch(/deadline/);
    expect(without.devices).toEqual([]);
    expect(without.train).toBe(200);
    expect((await succeed([...base, "--set", "fleet.deadlineSeconds=0.000001"], at())).stdout).toContain("No plan for the fleet: ");
  });

  it("own data get a name, are found by it anywhere, and are forgotten", async () => {
    await fails(["data", "add", "pets", "photos"], "data", /x\.png.*skipBadFiles/);
    expect(((await json(["data"], at())) as { added: unknown[] }).added).toEqual([]);

    const settings = ["--set", "data.skipBadFiles=true", "--set", "data.imageSize.height=16", "--set", "data.imageSize.width=16"];
    const added = (await json(["data", "add", "pets", "photos", ...settings], at())) as Record<string, unknown>;
    expect(added).toMatchObject({ path: folder.at("photos"), classes: 3, train: 24, test: 6, shape: [3, 16, 16], skipped: { count: 1 } });
    expect(added.preparation).toEqual({ skipBadFiles: true, imageSize: { height: 16, width: 16, channels: 3 } });
    expect(((await json(["data"], at())) as { added: unknown[] }).added).toEqual([
      { name: "pets", path: folder.at("photos"), preparation: added.preparation },
    ]);

    await mkdir(folder.at("elsewhere"), { recursive: true });
    const elsewhere = { cwd: folder.at("elsewhere"), env: { HOME: folder.path } };
    const data = (await json(["data", "inspect", "pets", "--network", "tiny"], elsewhere)) as Inspected;
    expect(data.classes.map(({ label, train, test }) => [label, train, test])).toEqual([
      ["dark", 8, 2],
      ["light", 8, 2],
      ["odd", 8, 2],
    ]);
    expect(data.shape).toEqual([3, 16, 16]);
    expect(data.skipped).toMatchObject({ count: 1, first: [{ where: expect.stringMatching(/x\.png$/) }] });
    // Five devices and three classes.
    expect(data.devices.length > 0 || data.noPlan !== undefined).toBe(true);
    const people = (await succeed(["data", "inspect", "pets", "--network", "tiny"], elsewhere)).stdout;
    expect(people).toContain("1 file left out");

    const prepared = folder.at(".cache/sheaf/prepared");
    const removed = (await json(["data", "remove", "pets"], at())) as { deleted: string[] };
    expect(removed.deleted).toHaveLength(2);
    const left = (await readdir(prepared)).map((name) => join(prepared, name));
    for (const path of removed.deleted) expect(left).not.toContain(path);
    await fails(["data", "remove", "pets"], "config", /No data set named "pets" was added; none was added so far/);
    await fails(["data", "inspect", "pets"], "config", /no data set named "pets"/);
    expect((await readdir(folder.at("photos/odd"))).length).toBe(11);
  });

  it("a module gets a name too", async () => {
    await writeFile(
      folder.at("made.mjs"),
      `const part = (n) => ({ labels: Array.from({ length: n }, (_, i) => i % 2), values: new Uint8Array(64 * n).map((_, i) => i) });
       export default { name: "made", load: () => ({ classNames: ["a", "b"], shape: { channels: 1, height: 8, width: 8 }, train: part(40), test: part(10) }) };`,
    );
    expect(await json(["data", "add", "made", "made.mjs"], at())).toMatchObject({ classes: 2, train: 40, preparation: {} });
    expect(await json(["data", "inspect", "made", "--network", "tiny", "--train-count", "20"], at())).toMatchObject({
      name: "made",
      train: 20,
      test: 10,
    });
    expect(await json(["data", "remove", "made"], at())).toEqual({ name: "made", path: folder.at("made.mjs"), deleted: [] });
  });

  it("a damaged list of names is told, and does not hide what is there", async () => {
    const home = folder.at("damaged");
    await mkdir(join(home, ".cache/sheaf"), { recursive: true });
    await writeFile(join(home, ".cache/sheaf/datasets.json"), "{");
    const options = { ...at(), env: { HOME: home } };
    const listed = (await json(["data", "list"], options)) as { dataSets: unknown[]; added: unknown[]; problem: string };
    expect(listed.dataSets.length).toBeGreaterThan(3);
    expect(listed.added).toEqual([]);
    expect(listed.problem).toMatch(/datasets\.json is damaged.*delete it/);
    expect((await sheaf(["data", "add", "pets", "photos"], options)).code).toBe(exitCodes.data);
    await succeed(["data", "inspect", "glyphs", "--train-count", "20", "--test-count", "10"], options);
  });

  it.each<[readonly string[], ErrorCode, RegExp]>([
    [["data", "inspect", "no-such-set"], "config", /no data set named "no-such-set"/],
    [["data", "add", "no-such-set"], "usage", /no data set named "no-such-set" to fetch; give its path/],
    [["data", "add", "pets", "no/such/folder"], "data", /There is no file or folder .*no\/such\/folder; check the path/],
    [["data", "add", "glyphs", "photos"], "usage", /"glyphs" is a name of Sheaf's own/],
    [["data", "add", "a/b", "photos"], "usage", /must be letters, digits/],
    [["data", "add"], "usage", /Missing required argument 'name'/],
    [["data", "inspect", "bare.mjs"], "data", /bare\.mjs has no default export \(it exports only a\)/],
    [["cost", "--network", "bare.mjs"], "network", /bare\.mjs has no default export/],
    [["data", "glyphs"], "usage", /Too many arguments/],
  ])("%j is refused", async (args, kind, says) => {
    await writeFile(folder.at("bare.mjs"), "export const a = 1;");
    await fails(args, kind, says);
  });
});
