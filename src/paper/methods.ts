/**
 * What is trained in every cell: the controls, Sheaf by the cell's recipe, and Sheaf with one key changed, for curves and for the ablation.
 * A row here is all that a further method needs, if its kind is one that `kinds.ts` knows how to run.
 */
import { type BaselineName, baselineNames, baselines } from "../baselines/table.ts";
import { SheafError } from "../util/errors.ts";
import { type CurveName, type MethodGroup, methodGroups, type Scale } from "./scales.ts";

/** How a method's job is run. */
export type MethodKind = "central" | "sheaf" | "joint" | "baseline";

export interface Method {
  readonly id: string;
  readonly title: string;
  readonly group: MethodGroup;
  readonly kind: MethodKind;
  /** Of a baseline: which. */
  readonly baseline?: BaselineName;
  /** Configuration keys, dotted, that differ from the cell's recipe. */
  readonly set: Readonly<Record<string, unknown>>;
  /** Its place on a curve. */
  readonly curve?: { readonly name: CurveName; readonly x: number };
  /** What the ablation table calls the change. */
  readonly ablation?: string;
  /** Of a change: the method that it is a change of, by id; the recipe when left out. */
  readonly against?: string;
}

/** The method that the others are compared with beside the central control: Sheaf by the cell's recipe. */
export const recipeId = "sheaf";
export const centralId = "central";
/** The slim control is trained within the recipe's run and has no job of its own. */
export const slimId = "slim";

/** The slim nets' average and the branches trained jointly tell where the loss is, beside slim and central. */
const controls: readonly Method[] = [
  { id: centralId, title: "central: the full target, all data", group: "core", kind: "central", set: {} },
  { id: recipeId, title: "Sheaf", group: "core", kind: "sheaf", set: { "controls.slim": true } },
  {
    id: "averageOfSlim",
    title: baselines.averageOfSlim.title,
    group: "diagnosis",
    kind: "baseline",
    baseline: "averageOfSlim",
    // Once trained each, with no rounds to draw a curve through.
    set: { "baseline.evaluateEvery": 0 },
  },
  { id: "joint", title: "branches trained jointly, all data", group: "diagnosis", kind: "joint", set: {} },
  ...baselineNames
    .filter((name) => name !== "averageOfSlim")
    .map(
      (baseline): Method => ({ id: baseline, title: baselines[baseline].title, group: "baselines", kind: "baseline", baseline, set: {} }),
    ),
];

/** The key that is changed along each curve, what the axis of its figure says, and what is otherwise than in the recipe all along it. */
export const curves: Readonly<Record<CurveName, { readonly key: string; readonly title: string; readonly set?: Method["set"] }>> = {
  owners: { key: "fleet.redundancy", title: "owners of a class" },
  epochs: { key: "fleet.epochs", title: "epochs of sub-models" },
  ratio: { key: "fleet.minimumRatio", title: "minimum ratio" },
  // A device that has every class has no background: the share matters where there are fewer owners.
  rho: { key: "rho", title: "rho, four owners", set: { "fleet.redundancy": 4 } },
  settle: { key: "settle.passes", title: "settle passes" },
};

const point = (name: CurveName, x: number): Method => ({
  id: `${name}-${x}`,
  title: `Sheaf, ${curves[name].title} ${x}`,
  group: name,
  kind: "sheaf",
  set: { ...curves[name].set, [curves[name].key]: x },
  curve: { name, x },
});

const changed = (id: string, ablation: string, set: Method["set"], title: string = `Sheaf: ${ablation}`): Method => ({
  id,
  title,
  group: "ablation",
  kind: "sheaf",
  set,
  ablation,
});

/** What some changes are changes of: where every device has every class there is no code to choose, and no background. */
const withOwners = (id: string, owners: number): Method => ({
  id,
  title: `Sheaf, ${owners} owners of a class`,
  group: "ablation",
  kind: "sheaf",
  set: { "fleet.redundancy": owners },
});
const twoOwners = withOwners("two-owners", 2);
const fourOwners = withOwners("four-owners", 4);

/** Changes another method than the recipe. */
const changedFrom = (base: Method, id: string, ablation: string, set: Method["set"]): Method => ({
  ...changed(id, ablation, { ...base.set, ...set }),
  against: base.id,
});

/** One thing changed at a time. What a recipe has already is no change and is left out of that cell: so both sides of a choice may stand here. */
const ablations: readonly Method[] = [
  twoOwners,
  fourOwners,
  changedFrom(twoOwners, "groups", "two owners of a class: disjoint groups instead of overlapping task sets", { "fleet.disjoint": true }),
  changed("shape-uniform", "one width for all layers", { "fleet.shape": "uniform" }),
  changed("shape-recipe", "widths by layer, by the network's recipe", { "fleet.shape": "recipe" }),
  changedFrom(fourOwners, "negatives-pool", "four owners of a class: background from a public pool", { negatives: "pool" }),
  changedFrom(fourOwners, "negatives-synthetic", "four owners of a class: background made from own samples", { negatives: "synthetic" }),
  changed("no-smoothing", "no label smoothing", { "training.labelSmoothing": 0 }),
  changed("smoothing", "label smoothing 0.1", { "training.labelSmoothing": 0.1 }),
  changed("no-ema", "no average of the weights", { "training.emaDecay": 0 }),
  changed("ema", "average of the weights, decay 0.99", { "training.emaDecay": 0.99 }),
  changed("no-adjustment", "no logit adjustment", { "training.logitAdjustment": 0 }),
  changed("adjustment", "logit adjustment, tau 1", { "training.logitAdjustment": 1 }),
  changed("small-images", "sub-models' first half of the epochs on images of half the size", {
    "fleet.progressive": { scale: 0.5, epochs: 0.5 },
  }),
  changed("all-samples", "every sample trained on", { "fleet.hardShare": 1 }),
  changed("hard-share", "the hardest half of the samples trained on", { "fleet.hardShare": 0.5 }),
  changed("constant-rate", "constant learning rate", { "training.schedule.type": "constant" }),
  changed("one-cycle", "one-cycle learning rate", { "training.schedule.type": "oneCycle" }),
  changed("light-decay", "a tenth of the weight decay", { "training.optimizer.weightDecay": 5e-5 }),
  changed("crop-4", "crops by up to 4 pixels", { "training.augmentation.crop": 4 }),
  changed("crop-0", "no crops", { "training.augmentation.crop": 0 }),
  changed("fixed-ridge", "ridge of 0.01, not chosen on a tenth held out of the sums", { "heads.heldOutShare": 0 }),
  changed("sums-all", "every owner sums all of its samples", { "heads.sums": "all" }),
  changed("more-heads", "heads H3, H4 and H5 beside the others", { "heads.extra": ["H3", "H4", "H5"] }, "Sheaf with more heads"),
];

/** All methods with these points on their curves, the recipe and its controls first. */
export function methodsOf(points: Scale["curves"]): readonly Method[] {
  const onCurves = (["settle", "owners", "epochs", "ratio", "rho"] as const).flatMap((name) => points[name].map((x) => point(name, x)));
  return [...controls, ...onCurves, ...ablations];
}

/** The asked methods, by id or group, in the table's order; central control and recipe are always among them, and what a change is a change of. Throws `usage` on an unknown one. */
export function chooseMethods(all: readonly Method[], asked: readonly string[]): readonly Method[] {
  const groups: readonly string[] = methodGroups;
  const unknown = asked.find((name) => !groups.includes(name) && !all.some(({ id }) => id === name));
  if (unknown !== undefined) {
    throw new SheafError(
      "usage",
      `There is no method "${unknown}" at this scale; the groups are ${groups.join(", ")}, the methods ${all.map((m) => m.id).join(", ")}.`,
    );
  }
  const isAsked = ({ id, group }: Method): boolean => asked.includes(id) || asked.includes(group);
  const bases = new Set(all.filter(isAsked).map(({ against }) => against));
  return all.filter((method) => method.id === centralId || method.id === recipeId || isAsked(method) || bases.has(method.id));
}
