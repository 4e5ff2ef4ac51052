/** `sheaf eval`: how good a model is on a data set's test samples. */
import { join } from "node:path";
import { SheafError } from "../../util/errors.ts";
import { writeFileAtomic } from "../../util/files.node.ts";
import { formatPercent, table } from "../../util/format.ts";
import { canonicalJson } from "../../util/json.ts";
import type { CommandSpec } from "../command.ts";

export const evaluate: CommandSpec = {
  flags: ["testCount"],
  examples: [
    ["eval runs/vgg/model.onnx", "on the data set the model was trained for"],
    ["eval runs/vgg --data-set cifar10 --json", "a run directory; accuracy, perClass, confusion"],
  ],
  async run({ arguments: [path = ""], options, terminal, config }) {
    const { openSamples } = await import("../../data/samples.node.ts");
    const { loadData } = await import("../../run/loadData.ts");
    const { openModelFile } = await import("../../run/modelFile.ts");
    const { evaluateModel } = await import("../../train/evaluate.ts");
    const { openProgress } = await import("../progress.ts");
    const model = await openModelFile(path);
    try {
      const settings = await config({ data: { name: model.metadata.dataSet ?? "auto" } });
      const { test, evaluatedOn } = await loadData(settings, options, openProgress(terminal).data);
      if (test.classNames.length !== model.classNames.length || test.classNames.some((name, i) => name !== model.classNames[i])) {
        throw new SheafError(
          "data",
          `${model.path} knows the classes ${model.classNames.slice(0, 4).join(", ")}, ..., but ${test.name} has ${test.classNames.slice(0, 4).join(", ")}, ...; choose the data set it was trained for with --data-set.`,
        );
      }
      using samples = openSamples(test);
      const { accuracy, balancedAccuracy, perClass, confusion } = await evaluateModel(model.session, samples);
      const result = {
        accuracy,
        balancedAccuracy,
        evaluatedOn,
        perClass,
        confusion,
        classNames: test.classNames,
        samples: test.labels.length,
        dataSet: test.name,
        model: model.path,
      };
      if (options.out) await writeFileAtomic(join(options.out, "eval.json"), `${canonicalJson(result)}\n`);
      terminal.printJson(result);
      terminal.print(
        `${model.path}: ${formatPercent(accuracy, 2)} of ${test.labels.length.toLocaleString("en")} ${evaluatedOn} samples of ${test.name}; mean of the classes ${formatPercent(balancedAccuracy, 2)}\n`,
      );
      terminal.print(
        table(
          [
            ["class", "accuracy"],
            ...test.classNames.map((name, c) => [name, perClass[c] == null ? "-" : formatPercent(perClass[c] as number)]),
          ],
          { align: ["left", "right"] },
        ),
      );
    } finally {
      await model.session.dispose();
    }
  },
};
