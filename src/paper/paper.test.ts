/** The parts of a paper that read nothing: tables of cells, scales and methods, the list of jobs, sums over seeds, and the section of another page. */
import { describe, expect, it } from "vitest";
import { mergeConfig } from "../run/assignments.ts";
import { parseConfig, type RunConfig } from "../run/config.ts";
import { cells, tableCells } from "./cells.ts";
import { replaceSection } from "./into.ts";
import { listJobs, type PaperJob } from "./jobs.ts";
import { centralId, chooseMethods, type Method, methodsOf, recipeId } from "./methods.ts";
import { planPaper } from "./paper.ts";
import type { JobRecord, Measurement } from "./record.ts";
import { methodGroups, type ScaleName, scales } from "./scales.ts";
import { ablate, rowsOf, spreadOf, summarize } from "./summary.ts";

const configOf = (values: unknown): Promise<RunConfig> => Promise.resolve(parseConfig(values));

describe("the tables", () => {
  it.each(Object.keys(scales) as ScaleName[])("give every job of the scale %s a whole configuration", async (scale) => {
    const plan = await planPaper({ scale, configOf });
    expect(plan.seeds).toHaveLength(scales[scale].seeds);
    for (const cell of plan.cells) {
      const ids = plan.jobs.filter((job) => job.cell === cell.id).flatMap(({ methods }) => methods);
      expect(ids).toContain(centralId);
      expect(ids).toContain(recipeId);
    }
    expect(new Set(plan.jobs.map(({ id }) => id)).size).toBe(plan.jobs.length);
  });

  it("cover the six cells of the promise at the scales that are measured", () => {
    expect(tableCells).toHaveLength(6);
    for (const scale of ["small", "full"] as const) expect(scales[scale].cells).toEqual(tableCells);
    for (const { id } of cells) expect(id).toMatch(/^(alexnet|vgg)-/);
  });

  it("name cells and methods that exist in what is said of single ones", () => {
    const ids = new Set(cells.map(({ id }) => id));
    for (const { byCell, curves, cells: own, methods } of Object.values(scales)) {
      for (const id of [...own, ...Object.keys(byCell)]) expect(ids).toContain(id);
      for (const asked of [methods, ...Object.values(byCell).map((cell) => cell.methods ?? [])]) {
        expect(() => chooseMethods(methodsOf(curves), asked)).not.toThrow();
      }
    }
    const methods = methodsOf(scales.full.curves);
    const known = new Set<string>([...methodGroups, ...methods.map(({ id }) => id)]);
    for (const cell of cells) for (const id of Object.keys(cell.methods ?? {})) expect(known).toContain(id);
  });
});

const base = parseConfig({ data: { name: "glyphs" }, rho: 0.25 });
const method = (id: string, set: Method["set"], more: Partial<Method> = {}): Method => ({
  id,
  title: id,
  group: "core",
  kind: "sheaf",
  set,
  ...more,
});
const recipe = method(recipeId, { "controls.slim": true });
const basesOf = (methods: readonly Method[], config: RunConfig = base): ReadonlyMap<string, RunConfig> =>
  new Map(methods.map(({ id }) => [id, config]));

describe("listJobs", () => {
  it("makes a curve's point at the recipe's own value the recipe's job, and leaves out a change that is none", () => {
    const methods = [
      recipe,
      method("rho-0.25", { rho: 0.25 }, { group: "rho" }),
      method("rho-1", { rho: 1 }, { group: "rho" }),
      method("no-ema", { "training.emaDecay": 0 }, { group: "ablation", ablation: "none" }),
      method("ema", { "training.emaDecay": 0.9 }, { group: "ablation", ablation: "some" }),
    ];
    const jobs = listJobs([{ id: "cell", methods, bases: basesOf(methods) }], [0, 1]);
    expect(jobs.map(({ id, methods: of }) => [id, of.join(" ")])).toEqual(
      [0, 1].flatMap((seed) => [
        [`cell-sheaf-seed${seed}`, "sheaf rho-0.25"],
        [`cell-rho-1-seed${seed}`, "rho-1"],
        [`cell-ema-seed${seed}`, "ema"],
      ]),
    );
    expect(jobs.map(({ config }) => config.seed)).toEqual([0, 0, 0, 1, 1, 1]);
  });

  it("gives a method what it alone has otherwise", async () => {
    const methods = [method(centralId, {}, { kind: "central" }), recipe];
    const own = parseConfig(mergeConfig(base, { training: { schedule: { learningRate: 0.3 } } }));
    const bases = new Map([
      [centralId, own],
      [recipeId, base],
    ]);
    const [central, sheaf] = listJobs([{ id: "cell", methods, bases }], [0]) as [PaperJob, PaperJob];
    expect(central.config.training.schedule.learningRate).toBe(0.3);
    expect(sheaf.config.training.schedule.learningRate).toBeUndefined();
  });

  it("names the method whose key is not known", () => {
    const wrong = method("wrong", { "fleet.wdth": 1 });
    expect(() => listJobs([{ id: "cell", methods: [wrong], bases: basesOf([wrong]) }], [0])).toThrow('the method "wrong"');
  });
});

describe("sums over seeds", () => {
  const job = (id: string, seed: number): PaperJob => ({ id: `${id}${seed}`, cell: "c", kind: "sheaf", seed, config: base, methods: [id] });
  const measured = (accuracy: number, more: Partial<Measurement> = {}): Measurement => ({
    accuracy,
    balancedAccuracy: accuracy / 2,
    computeMacs: 10,
    ...more,
  });
  const jobs = [0, 1].flatMap((seed) => [job(centralId, seed), job(recipeId, seed), job("change", seed)]);
  const heads = (accuracy: number, least: number, lost: readonly number[]): readonly Measurement[] => [
    measured(accuracy, {
      head: "H2",
      ratio: { min: least, median: 13, max: 14 },
      lostDevices: [{ lost: 1, accuracies: lost }],
      settlePasses: [accuracy - 0.1, accuracy],
    }),
  ];
  const records = new Map(
    Object.entries({
      central0: [measured(0.8)],
      central1: [measured(0.9)],
      sheaf0: heads(0.7, 12, [0.5, 0.6]),
      sheaf1: heads(0.9, 11, [0.7]),
      change0: heads(0.6, 10, []),
      change1: heads(0.9, 10, []),
    }).map(([id, measurements]) => [id, { measurements } as unknown as JobRecord]),
  );

  it("knows mean, range and deviation", () => {
    expect(spreadOf([1, 3])).toEqual({ mean: 2, low: 1, high: 3, deviation: Math.SQRT2 });
    expect(spreadOf([5])).toEqual({ mean: 5, low: 5, high: 5 });
  });

  it("pairs seeds for the gap to central, takes the least ratio, and gathers lost devices and passes", () => {
    const rows = summarize(rowsOf(jobs, records, () => "accuracy"));
    const sheaf = rows.find((row) => row.method === recipeId);
    expect(sheaf?.score.mean).toBeCloseTo(0.8);
    expect(sheaf?.gap?.low).toBeCloseTo(-0.1);
    expect(sheaf?.gap?.high).toBeCloseTo(0);
    expect(sheaf?.leastRatio).toBe(11);
    expect(sheaf?.lostDevices?.[0]?.accuracy.mean).toBeCloseTo(0.6);
    expect(sheaf?.settlePasses?.map(({ mean }) => Math.round(mean * 100))).toEqual([70, 80]);
    expect(rows.find((row) => row.method === centralId)?.gap).toBeUndefined();
  });

  it("counts the mean of the classes where that is the measure", () => {
    const [central] = summarize(rowsOf(jobs, records, () => "balancedAccuracy"));
    expect(central?.score.mean).toBeCloseTo(0.425);
    expect(central?.accuracy.mean).toBeCloseTo(0.85);
  });

  it("says what a change does in accuracy and in ratio, seed by seed, and nothing of a seed without both", () => {
    const methods = [recipe, method("change", {}, { ablation: "a change" })];
    const rows = rowsOf(jobs, records, () => "accuracy");
    const [row] = ablate(rows, methods, new Map([["c", "H2"]]));
    expect(row?.difference.mean).toBeCloseTo(-0.05);
    expect(row?.ratioDifference).toBe(-1);
    const one = rows.filter(({ method: id, seed }) => id !== recipeId || seed === 0);
    expect(ablate(one, methods, new Map([["c", "H2"]]))[0]?.seeds).toBe(1);
    const back = [recipe, method("change", {}), method(recipeId, {}, { ablation: "undone", against: "change" })];
    const [undone] = ablate(rows, back, new Map([["c", "H2"]]));
    expect(undone?.difference.mean).toBeCloseTo(0.05);
    expect(undone?.ratioDifference).toBe(1);
  });
});

describe("replaceSection", () => {
  const begin = "<!-- sheaf paper: begin -->";
  const end = "<!-- sheaf paper: end -->";

  it("replaces what stands between the markers and nothing else, and again gives the same", () => {
    const page = `before\n${begin}\nold\n${end}\nafter`;
    const replaced = replaceSection(page, "new $& section", "page.md");
    expect(replaced).toBe(`before\n${begin}\n\nnew $& section\n\n${end}\nafter`);
    expect(replaceSection(replaced, "new $& section", "page.md")).toBe(replaced);
  });

  it.each([["none"], [begin], [`${end}\n${begin}`], [`${begin}\n${begin}\n${end}`], [`${begin}\n${end}\n${end}`]])(
    "refuses a page with markers %j",
    (page) => {
      expect(() => replaceSection(page, "section", "page.md")).toThrow("page.md needs one line");
    },
  );
});
