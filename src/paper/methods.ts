/**
 * What is trained in every cell: the controls, Sheaf by the cell's recipe, and Sheaf with one key changed, for curves and for the ablation.
 * A row here is all that a further method needs, if its kind is one that `kinds.ts` knows how to run.
 */
import { type BaselineName, baselineNames, baselines } from "../baselines/table.ts";
import { SheafError } from "../util/errors.ts";
import type { CurveName, Scale } from "./scales.ts";

/** How a method's job is run. */
export type MethodKind = "central" | "sheaf" | "joint" | "baseline";

export interface Method {
  readonly id: string;
  readonly title: string;
  readonly kind: MethodKind;
  /** Of a baseline: which. */
  readonly baseline?: BaselineName;
  /** Configuration keys, dotted, that differ from the cell's recipe. */
  readonly set: Readonly<Record<string, unknown>>;
  /** Its place on a curve. */
  readonly curve?: { readonly name: CurveName; readonly x: number };
  /** What the ablation table calls the change. */
  readonly ablation?: string;
}

/** The method that the others are compared with beside the central control: Sheaf by the cell's recipe. */
export const recipeId = "sheaf";
export const centralId = "central";
/** The slim control is trained within the recipe's run and has no job of its own. */
export const slimId = "slim";

const controls: readonly Method[] = [
  { id: centralId, title: "central: the full target, all data", kind: "central", set: {} },
  { id: recipeId, title: "Sheaf", kind: "sheaf", set: { "controls.slim": true } },
  { id: "joint", title: "branches trained jointly, all data (diagnosis)", kind: "joint", set: {} },
  ...baselineNames.map((baseline): Method => ({ id: baseline, title: baselines[baseline].title, kind: "baseline", baseline, set: {} })),
];

/** The key that is changed along each curve, and what the axis of its figure says. */
export const curves: Readonly<Record<CurveName, { readonly key: string; readonly title: string }>> = {
  ratio: { key: "fleet.minimumRatio", title: "minimum ratio" },
  rho: { key: "rho", title: "rho" },
  settle: { key: "settle.passes", title: "settle passes" },
};

const point = (name: CurveName, x: number): Method => ({
  id: `${name}-${x}`,
  title: `Sheaf, ${curves[name].title} ${x}`,
  kind: "sheaf",
  set: { [curves[name].key]: x },
  curve: { name, x },
});

const changed = (id: string, ablation: string, set: Method["set"]): Method => ({
  id,
  title: `Sheaf: ${ablation}`,
  kind: "sheaf",
  set,
  ablation,
});

/** One thing changed at a time; what a recipe has already is the recipe's own job again, and no difference. */
const ablations: readonly Method[] = [
  changed("disjoint", "disjoint task sets instead of overlapping ones", { "fleet.redundancy": 1, "fleet.disjoint": true }),
  changed("shape-uniform", "one width for all layers", { "fleet.shape": "uniform" }),
  changed("shape-recipe", "widths by layer, by the network's recipe", { "fleet.shape": "recipe" }),
  changed("negatives-pool", "background from a public pool", { negatives: "pool" }),
  changed("negatives-synthetic", "background made from own samples", { negatives: "synthetic" }),
  changed("smoothing", "label smoothing 0.1", { "training.labelSmoothing": 0.1 }),
  changed("ema", "average of the weights, decay 0.99", { "training.emaDecay": 0.99 }),
  changed("light-decay", "a tenth of the weight decay", { "training.optimizer.weightDecay": 5e-5 }),
];

/** All methods of a scale, the recipe and its controls first. */
export function methodsOf(scale: Pick<Scale, "curves">): readonly Method[] {
  const points = (Object.keys(curves) as CurveName[]).flatMap((name) => scale.curves[name].map((x) => point(name, x)));
  return [...controls, ...points, ...ablations];
}

/** The asked methods in the table's order; central control and recipe are always among them. Throws `usage` on an unknown one. */
export function chooseMethods(all: readonly Method[], ids: readonly string[] | undefined): readonly Method[] {
  if (ids === undefined) return all;
  const unknown = ids.find((id) => !all.some((method) => method.id === id));
  if (unknown !== undefined) {
    throw new SheafError("usage", `There is no method "${unknown}" at this scale; the methods are ${all.map((m) => m.id).join(", ")}.`);
  }
  return all.filter(({ id }) => id === centralId || id === recipeId || ids.includes(id));
}
