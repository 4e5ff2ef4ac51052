/** `sheaf paper` in small: interrupted and resumed it gives the same results, its page goes into another, and a job without a plan stops no other. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { PaperResult } from "../../src/paper/paper.ts";
import { exitCodes } from "../../src/util/errors.ts";
import { built, filesBelow, json, type Scratch, scratch, sha256, sheaf, succeed } from "./sheaf.ts";

/** One cell with one diagnosis, one baseline and settling; one epoch on few samples. Folders are named from where the command runs. */
const few =
  "paper --scale smoke --cells alexnet-glyphs --methods joint,heteroFl,settle-2 --set training.epochs=1 --set data.trainCount=100 --set data.testCount=40 --set fleet.minimumRatio=1.2 --workers 1 --out paper".split(
    " ",
  );
const jobs = ["central", "heteroFl", "joint", "settle-2", "sheaf"].map((method) => `alexnet-glyphs-${method}-seed0`);

// Some ten seconds of work each on a quiet machine.
const patience = 240_000;

describe.skipIf(!built)("sheaf paper", { timeout: patience }, () => {
  let folder: Scratch;
  const read = (...names: string[]): Promise<string> => readFile(folder.at(...names), "utf8");
  const numbers = async (name: string): Promise<Pick<PaperResult, "rows" | "summary" | "commandLine">> => {
    const { rows, summary, commandLine } = JSON.parse(await read(name, "paper", "results.json")) as PaperResult;
    return { rows, summary, commandLine };
  };

  beforeAll(async () => {
    folder = await scratch("paper");
    for (const name of ["whole", "stopped", "failing"]) await mkdir(folder.at(name));
    await writeFile(folder.at("whole", "page.md"), "# Page\n\n<!-- sheaf paper: begin -->\nold\n<!-- sheaf paper: end -->\n\nRest.\n");
    await succeed([...few, "--into", "page.md"], { cwd: folder.at("whole") });
  }, patience);
  afterAll(() => folder.remove());

  it("writes every job's record, results, figures and a page with all methods", async () => {
    const { rows } = await numbers("whole");
    expect(rows.map(({ method, head }) => [method, head].filter(Boolean).join(" "))).toEqual([
      "central",
      "slim",
      ...["H0", "H1", "H2"].map((head) => `sheaf ${head}`),
      "joint",
      "heteroFl",
      ...["H0", "H1", "H2"].map((head) => `settle-2 ${head}`),
    ]);
    expect(rows.find(({ method, head }) => method === "settle-2" && head === "H2")?.settlePasses).toHaveLength(3);
    const files = await filesBelow(folder.at("whole", "paper"));
    for (const job of jobs) expect(files).toContain(`records/${job}.json`);
    const page = await read("whole", "paper", "paper.md");
    for (const figure of page.matchAll(/\]\((figures\/[^)]+)\)/g)) expect(files).toContain(figure[1]);
    for (const kind of ["methods", "frontier", "settle", "lost", "time"]) expect(files).toContain(`figures/${kind}-alexnet-glyphs.svg`);
    expect(page).toContain("where the loss is");
    expect((await read("whole", "paper", "results.csv")).trim().split("\n")).toHaveLength(rows.length + 1);
  });

  it("replaces the section of another page, whose links lead to figures beside it", async () => {
    const page = await read("whole", "page.md");
    expect(page.startsWith("# Page\n\n<!-- sheaf paper: begin -->\n\n## Sheaf against its controls")).toBe(true);
    expect(page.endsWith("<!-- sheaf paper: end -->\n\nRest.\n")).toBe(true);
    expect(page).not.toContain("old");
    const links = [...page.matchAll(/\]\(([^)]+)\)/g)].map((match) => match[1] as string);
    expect(links.length).toBeGreaterThan(5);
    const files = await filesBelow(folder.at("whole"));
    for (const link of links) expect(files).toContain(link);
    // The same once more, and nothing is run for it.
    await succeed([...few, "--write", "--into", "page.md"], { cwd: folder.at("whole") });
    expect(await read("whole", "page.md")).toBe(page);
  });

  it("has every field documented", async () => {
    const page = await readFile(new URL("../../docs/paper.md", import.meta.url), "utf8");
    const fields = (value: unknown): readonly string[] => {
      if (Array.isArray(value)) return value.flatMap(fields);
      return typeof value === "object" && value !== null ? Object.entries(value).flatMap(([name, inner]) => [name, ...fields(inner)]) : [];
    };
    for (const field of new Set(fields(JSON.parse(await read("whole", "paper", "results.json"))))) {
      expect(page.replaceAll("[]`", "`"), field).toContain(`\`${field}\``);
    }
    const folders = new Set((await filesBelow(folder.at("whole", "paper"))).map((file) => file.split("/")[0] as string));
    for (const name of folders) expect(page, name).toContain(`\`${name}`);
  });

  it("interrupted and resumed gives the same models and results", async () => {
    const cwd = folder.at("stopped");
    let stopped = false;
    const first = await sheaf(few, {
      cwd,
      onStderr(text, child) {
        if (stopped || !text.includes("sheaf-seed0 started")) return;
        stopped = true;
        child.kill("SIGINT");
      },
    });
    expect(first.code, first.stderr).toBe(exitCodes.interrupted);
    expect(first.stderr).toContain("--resume");
    const refused = await sheaf(few, { cwd });
    expect(refused.code).toBe(exitCodes.config);
    await succeed([...few, "--resume"], { cwd });
    expect(await numbers("stopped")).toEqual(await numbers("whole"));
    for (const job of jobs) {
      const model = ["paper", "jobs", job, "model.onnx"];
      expect(await sha256(folder.at("stopped", ...model)), job).toBe(await sha256(folder.at("whole", ...model)));
    }
  });

  it("goes on past a job without a plan, gives it a row, and ends in its exit code", async () => {
    const cwd = folder.at("failing");
    const args = few
      .map((word) => (word === "fleet.minimumRatio=1.2" ? "fleet.minimumRatio=5000" : word))
      .filter((word) => word !== "--resume");
    const { code, stderr } = await sheaf(args, { cwd });
    expect(code, stderr).toBe(exitCodes.plan);
    const { rows } = await numbers("failing");
    expect(rows.map(({ method }) => method)).toEqual(["central"]);
    expect(await read("failing", "paper", "paper.md")).toMatch(/\| Sheaf, seed 0 \| no result: No device can take part/);
    const listed = (await json([...args, "--list"], { cwd })) as {
      readonly jobs: readonly { readonly id: string; readonly macs: number }[];
    };
    expect(listed.jobs.filter(({ macs }) => macs > 0).map(({ id }) => id)).toEqual(["alexnet-glyphs-central-seed0"]);
  });

  it("refuses an unknown cell or method, and a page without markers, before anything is run", async () => {
    const cwd = folder.path;
    await writeFile(folder.at("bare.md"), "# No markers\n");
    for (const [args, code, words] of [
      [["--cells", "vgg-mnist"], exitCodes.usage, "vgg-cifar10"],
      [["--methods", "fedSgd"], exitCodes.usage, "fedAvg"],
      [["--into", "bare.md"], exitCodes.config, "<!-- sheaf paper: begin -->"],
      [["--into", "missing.md"], exitCodes.data, "missing.md"],
    ] as const) {
      const outcome = await sheaf([...few, ...args], { cwd });
      expect(outcome.code, outcome.stderr).toBe(code);
      expect(outcome.stderr).toContain(words);
    }
    expect((await filesBelow(cwd)).filter((file) => file.startsWith("paper/"))).toEqual([]);
  });
});
