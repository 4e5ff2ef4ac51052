/** `sheaf predict`: image files in, classes out. */
import { Option } from "commander";
import { readImage } from "../../data/images.node.ts";
import { openModelFile } from "../../run/modelFile.ts";
import { SheafError } from "../../util/errors.ts";
import { formatPercent, table } from "../../util/format.ts";
import { floats } from "../../util/tensor.ts";
import type { CommandSpec } from "../command.ts";

export const predict: CommandSpec = {
  name: "predict",
  summary: "classify image files with a model",
  arguments: "<model> <images...>",
  options: [new Option("--top <n>", "show the n likeliest classes").default(3).argParser(Number)],
  examples: [
    ["predict runs/vgg/model.onnx cat.jpg", "the three likeliest classes"],
    ["predict runs/vgg *.png --top 1 --json", "a run directory's model, many images"],
  ],
  async run({ arguments: [path = "", ...files], options, terminal }) {
    const top = options.top as number;
    if (!Number.isInteger(top) || top < 1) throw new SheafError("usage", `--top expects a whole number of at least 1, got ${top}.`);
    const model = await openModelFile(path);
    try {
      const { channels, height, width } = model.shape;
      const predictions = [];
      for (const file of files) {
        const pixels = await readImage(file, model.shape);
        const { probabilities } = await model.session.run({ image: floats("float32", [1, channels, height, width], pixels) });
        const ranked = Array.from(probabilities?.data as Float32Array, (probability, id) => ({
          class: model.classNames[id] ?? String(id),
          probability,
        }))
          .sort((a, b) => b.probability - a.probability)
          .slice(0, top);
        predictions.push({ image: file, class: ranked[0]?.class, classes: ranked });
      }
      terminal.printJson({ model: model.path, predictions });
      terminal.print(table(predictions.map((p) => [p.image, ...p.classes.map((c) => `${c.class} ${formatPercent(c.probability)}`)])));
    } finally {
      await model.session.dispose();
    }
  },
};
