/** The model card that lies beside `model.onnx`: what the model is, how it came about, what it can and cannot do. */
import { inHeadOrder } from "./charts/headStyles.ts";
import { bytes, count, percent, ratio } from "./format.ts";
import { headline } from "./headline.ts";
import { tensorText } from "./provenance.ts";
import type { ReportData } from "./reportData.ts";
import { wilsonInterval } from "./statistics.ts";

/**
 * Markdown (CommonMark with tables). Names from the data are escaped, so that none can add markup.
 */
export function modelCard(data: ReportData): string {
  return [
    ...whatItIs(data),
    ...accuracy(data),
    ...howTrained(data),
    ...howToUse(data),
    ...limits(data),
    "## Licence",
    "",
    "Sheaf's own licence covers its code, not these weights. They belong to whoever made the run; the terms of the training data may bind them.",
    "",
  ].join("\n");
}

function whatItIs(data: ReportData): string[] {
  const { dataSet, target, devices, model } = data;
  const origin =
    devices.length === 0
      ? `A ${plain(target.name)} (width ${target.width}), trained in one place.`
      : `One network made of ${devices.filter((device) => device.status === "harvested").length} sub-models of ${plain(target.name)} (width ${target.width}), each trained alone on a device of its own; the head is ${data.mainHead}.`;
  return [
    `# ${plain(data.title)}`,
    "",
    `${plain(headline(data))} ${origin}`,
    "",
    `- Task: image classification, ${dataSet.classes.length} classes`,
    ...(model === undefined
      ? []
      : [
          `- File: ${code(model.file)}, ${bytes(model.bytes)}, ${count(model.parameters)} parameters, ONNX opset ${model.opset}`,
          `- SHA-256: ${code(model.sha256)}`,
        ]),
    `- Classes, in the order of the outputs: ${dataSet.classes.map(plain).join(", ")}`,
    "",
  ];
}

function accuracy(data: ReportData): string[] {
  const { testCount } = data.dataSet;
  const rows = inHeadOrder(data.heads).map((head) => {
    const interval = wilsonInterval(head.accuracy, testCount);
    const name = head.id === data.mainHead ? `**${plain(head.label)}**` : plain(head.label);
    return `| ${name} | ${percent(head.accuracy)} | ${percent(interval.low)} to ${percent(interval.high)} |`;
  });
  return [
    "## Accuracy",
    "",
    `On ${count(testCount)} test samples, seed ${data.seed}; the interval is for the choice of test samples only.`,
    "",
    "| classifier | accuracy | 95 % interval |",
    "|---|---:|---:|",
    ...rows,
    "",
  ];
}

function howTrained(data: ReportData): string[] {
  const { dataSet, training, computeRatio } = data;
  const lines = [
    `- Command: ${code(data.command)}`,
    `- Data: ${plain(dataSet.name)}, ${count(dataSet.trainCount)} training samples; source: ${plain(dataSet.source)}${dataSet.note === undefined ? "" : ` (${plain(dataSet.note)})`}`,
    `- ${training.epochs} epochs, batch ${training.batch}; ${plain(training.optimizer)}; ${plain(training.schedule)}; augmentation: ${plain(training.augmentation)}`,
    ...(data.rho === undefined
      ? []
      : [`- Background share (rho): ${data.rho}${data.negatives === undefined ? "" : `, ${plain(data.negatives)}`}`]),
    ...(computeRatio === undefined
      ? []
      : [
          `- Compute ratio over devices: min ${ratio(computeRatio.min)}, median ${ratio(computeRatio.median)}, max ${ratio(computeRatio.max)}`,
        ]),
    `- Sheaf ${plain(data.sheafVersion)}${data.commit === undefined ? "" : `, commit ${plain(data.commit)}`}${data.date === undefined ? "" : `, ${plain(data.date)}`}`,
  ];
  return ["## Training", "", ...lines, ""];
}

function howToUse(data: ReportData): string[] {
  const { model } = data;
  const input = model?.inputs[0];
  if (model === undefined || input === undefined) return [];
  const output = model.outputs.find((each) => each.name === "probabilities") ?? model.outputs[0];
  const shape = input.shape.map((dimension) => (typeof dimension === "number" ? dimension : 1));
  return [
    "## Use",
    "",
    "Any ONNX Runtime runs it; no Sheaf is needed. Raw pixels go in, 0 to 255, channels first; the normalisation is inside the model.",
    "",
    ...model.inputs.map((tensor) => `- input ${code(tensorText(tensor))}`),
    ...model.outputs.map((tensor) => `- output ${code(tensorText(tensor))}`),
    "",
    "```python",
    "import numpy, onnxruntime",
    `session = onnxruntime.InferenceSession(${pythonString(model.file)})`,
    `pixels = numpy.zeros((${shape.join(", ")}), numpy.float32)  # your image here`,
    `(answer,) = session.run([${pythonString(output?.name ?? "logits")}], {${pythonString(input.name)}: pixels})`,
    "print(answer.argmax(axis=1))",
    "```",
    "",
  ];
}

function limits(data: ReportData): string[] {
  const main = data.heads.find((head) => head.id === data.mainHead);
  const byClass = (main?.perClassAccuracy ?? [])
    .map((value, id) => ({ value, name: data.dataSet.classes[id] ?? "" }))
    .filter((each): each is { value: number; name: string } => each.value !== null)
    .sort((a, b) => a.value - b.value);
  const hardest = byClass.slice(0, 3).map((each) => `${plain(each.name)} ${percent(each.value)}`);
  return [
    "## Limits",
    "",
    `- It knows ${data.dataSet.classes.length} classes and always answers with one of them, also for an image of something else.`,
    ...(hardest.length === 0 ? [] : [`- Least accurate classes: ${hardest.join(", ")}.`]),
    "- Measured with one seed on one test set; images that look different (camera, light, resolution) may be recognised less well.",
    "- The probabilities are not calibrated.",
    ...(data.devices.length === 0
      ? []
      : ["- Running it costs all its sub-models together; the compute ratio above is about training on a device."]),
    "",
  ];
}

/** Escapes what Markdown and HTML would read as markup; a line break becomes a space. */
function plain(text: string): string {
  return text
    .replace(/\s*[\r\n]+\s*/g, " ")
    .replace(/[\\`*_[\]|#]/g, "\\$&")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
}

/** A code span whose fence is longer than any run of backticks inside. */
function code(text: string): string {
  const flat = text.replace(/\s*[\r\n]+\s*/g, " ");
  const longest = Math.max(0, ...(flat.match(/`+/g) ?? []).map((run) => run.length));
  const fence = "`".repeat(longest + 1);
  const pad = longest > 0 ? " " : "";
  return `${fence}${pad}${flat}${pad}${fence}`;
}

/** JSON strings are Python strings as well. */
function pythonString(text: string): string {
  return JSON.stringify(text).replaceAll("`", "\\u0060");
}
