/** `sheaf compile`: a training step as an ONNX file, for any ONNX Runtime in any language. */
import { SheafError } from "../../util/errors.ts";
import { formatBytes } from "../../util/format.ts";
import type { CommandSpec } from "../command.ts";

export const compile: CommandSpec = {
  flags: ["network", "width", "batch"],
  examples: [
    ["compile --network vgg11 --width 0.25 --batch 64 --out step", "values go in as they are"],
    ["compile --network tiny --data-set glyphs --out step", "normalizes inside the graph by the data set's mean and deviation"],
  ],
  async run({ options, terminal, config }) {
    if (options.out === undefined) throw new SheafError("usage", "sheaf compile needs --out DIR, the folder to write train.onnx into.");
    const { writeCompiled } = await import("../../run/compileFiles.ts");
    const { loadData } = await import("../../run/loadData.ts");
    const { catalogFit, fitOf, loadTarget, peakLearningRate } = await import("../../run/target.ts");
    const { openProgress } = await import("../progress.ts");
    const settings = await config();
    const fit =
      settings.data.name === "auto" ? catalogFit("auto") : fitOf((await loadData(settings, options, openProgress(terminal).data)).train);
    const { network, parameters } = await loadTarget(settings, fit);
    const { batchSize, optimizer, labelSmoothing, emaDecay } = settings.training;
    const files = await writeCompiled(
      network,
      { batchSize, optimizer, labelSmoothing, emaDecay },
      peakLearningRate(settings, "wide"),
      settings.seed,
      options.out,
      parameters,
    );
    terminal.printJson(files);
    terminal.print(`${files.program}  ${files.nodes} nodes, ${formatBytes(files.bytes)}\n${files.parameters}\n${files.description}`);
  },
};
