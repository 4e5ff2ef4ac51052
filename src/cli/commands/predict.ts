/** `sheaf predict`: image or WAV files in, classes out. */
import { Option } from "commander";
import { SheafError } from "../../util/errors.ts";
import { formatPercent, table } from "../../util/format.ts";
import type { CommandSpec } from "../command.ts";

export const predict: CommandSpec = {
  options: [new Option("--top <n>", "show the n likeliest classes").default(3).argParser(Number)],
  examples: [
    ["predict runs/vgg/model.onnx cat.jpg", "the three likeliest classes"],
    ["predict runs/words clip.wav", "a spoken word; of a long recording, the stretch the model is surest of"],
    ["predict runs/vgg *.png --top 1 --json", "a run directory's model, many images"],
  ],
  async run({ arguments: [path = "", ...files], options, terminal }) {
    const top = options.top as number;
    if (!Number.isInteger(top) || top < 1) throw new SheafError("usage", `--top expects a whole number of at least 1, got ${top}.`);
    const { openModelFile } = await import("../../run/modelFile.ts");
    const { predictFile } = await import("../../run/predict.ts");
    const model = await openModelFile(path);
    try {
      const predictions = [];
      for (const file of files) predictions.push(await predictFile(model, file, top));
      terminal.printJson({ model: model.path, predictions });
      terminal.print(
        table(
          predictions.map(({ file, startMs, classes }) => [
            startMs === undefined ? file : `${file} at ${(startMs / 1000).toFixed(2)} s`,
            ...classes.map((c) => `${c.class} ${formatPercent(c.probability)}`),
          ]),
        ),
      );
    } finally {
      await model.session.dispose();
    }
  },
};
