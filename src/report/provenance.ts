/** Where the numbers come from and what the words mean: the last two sections of the page. */
import { count, macs, percent, si } from "./format.ts";
import { el, type Markup } from "./markup.ts";
import type { ModelTensor, ReportData } from "./reportData.ts";
import { list } from "./tables.ts";

/** Everything needed to repeat the run, and the facts of the model file. */
export function provenance(data: ReportData): Markup {
  const { dataSet, target, training, machine } = data;
  const runtimes = Object.entries(machine.onnxruntime).map(([name, version]) => `${name} ${version}`);
  const samples = `${count(dataSet.trainCount)} training and ${count(dataSet.testCount)} test samples, ${dataSet.classes.length} classes`;
  return el(
    "section",
    { id: "provenance" },
    el("h2", {}, "Provenance"),
    list([
      ["Command", el("code", {}, data.command)],
      ["Seed", String(data.seed)],
      ["Date", data.date],
      ["Sheaf", `${data.sheafVersion}${data.commit === undefined ? "" : `, commit ${data.commit}`}`],
      [
        "Machine",
        `${machine.cpu}, ${machine.cores} ${machine.cores === 1 ? "core" : "cores"}; Node ${machine.node}; ${runtimes.join(", ")}`,
      ],
      ["Data", `${dataSet.name}: ${samples}${dataSet.note === undefined ? "" : ` (${dataSet.note})`}`],
      ["Source of the data", dataSet.source],
      ["Target network", `${target.name}, width ${target.width}: ${macs(target.macs)} per sample, ${si(target.parameters)} parameters`],
      ["Training", `${training.epochs} epochs, batch ${training.batch}; ${training.optimizer}; ${training.schedule}`],
      ["Augmentation", training.augmentation],
      [
        "Background (rho)",
        data.rho === undefined
          ? undefined
          : `${data.rho}: each device also sees ${
              data.negatives ?? `${percent(data.rho)} of the other classes' samples`
            }, labelled only \u201cother\u201d`,
      ],
    ]),
    data.model !== undefined && [
      el("h3", {}, "Model file"),
      list([
        ["File", el("code", {}, data.model.file)],
        ["Size", `${count(data.model.bytes)} bytes, ${count(data.model.parameters)} parameters (target ${count(target.parameters)})`],
        ["SHA-256", el("code", {}, data.model.sha256)],
        ["ONNX opset", String(data.model.opset)],
        ["Inputs", data.model.inputs.map(tensorText).join("; ")],
        ["Outputs", data.model.outputs.map(tensorText).join("; ")],
      ]),
    ],
  );
}

/** "image: float32 [N, 3, 32, 32]". */
export function tensorText(tensor: ModelTensor): string {
  return `${tensor.name}: ${tensor.dtype} [${tensor.shape.join(", ")}]`;
}

/** Definitions; those of parts that the run does not have are left out. */
export function howToRead(data: ReportData): Markup {
  const has = new Set(data.heads.map((head) => head.id));
  const fleet = data.devices.length > 0;
  return el(
    "section",
    { id: "how-to-read" },
    el("h2", {}, "How to read this"),
    list([
      [
        "Compute ratio",
        fleet
          ? "Per device: MACs of training the full target on the device's own samples for its epochs, over the MACs of all that Sheaf made it do (its sub-model on own and background samples, the statistics pass, settling if any). A multiply-add counts as one MAC, a training step as three forward passes. It counts arithmetic, not seconds."
          : undefined,
      ],
      ["central", has.has("central") ? "Control: the full target, trained on all the data in one place." : undefined],
      [
        "slim",
        has.has("slim") ? "Control: one network of sub-model width, trained on all the data and all classes in one place." : undefined,
      ],
      [
        "H0",
        has.has("H0")
          ? "Adds, for each class, the log-probabilities that the sub-models give it (\u201cother\u201d where a device does not own it); costs nothing."
          : undefined,
      ],
      [
        "H1",
        has.has("H1")
          ? "H0 with each sub-model's scores recentred and rescaled by statistics that the device uploads with its weights."
          : undefined,
      ],
      [
        "H2",
        has.has("H2")
          ? "A linear head over all sub-models' features: every device runs them once over its own data and uploads only sums, from which ridge regression gives the same head as if the data were in one place."
          : undefined,
      ],
      [
        "H3",
        has.has("H3")
          ? "As H2, over the sub-models' features and their log-probabilities together, of which H0, H1 and H2 are special cases."
          : undefined,
      ],
      [
        "H4",
        has.has("H4")
          ? "As H2, over the sub-models' features and a random expansion of them: many fixed random combinations, each cut off at zero."
          : undefined,
      ],
      [
        "H5",
        has.has("H5")
          ? "The linear discriminant of the sub-models' features, with one covariance for all classes, from the sums that H2 needs."
          : undefined,
      ],
      [
        "Intervals",
        "95 % Wilson score intervals for a share among this many test samples. They say nothing about other seeds; to compare two methods, repeat the run with several.",
      ],
      [
        "Virtual clock",
        fleet ? "Time that the devices of the given profiles would need; the training itself ran on the machine named below." : undefined,
      ],
    ]),
  );
}
