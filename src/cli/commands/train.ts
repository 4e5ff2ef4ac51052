/** `sheaf train`: one network, all classes, all data. */
import { formatCount, formatDuration, formatPercent } from "../../util/format.ts";
import type { CommandSpec } from "../command.ts";
import { folderName, runInFolder } from "../runFolder.ts";

export const train: CommandSpec = {
  flags: ["trainCount", "testCount", "network", "width", "epochs", "batch", "learningRate"],
  examples: [
    ["train --network tiny --data-set glyphs --epochs 3 --out runs/tiny", "a minute"],
    ["train --network vgg11 --width 0.5 --epochs 12 --out runs/central", "the central control of a half-width VGG-11"],
    ["train --out runs/central --resume", "go on after an interruption"],
  ],
  async run(invocation) {
    const config = await invocation.config();
    const { trainOne } = await import("../../run/trainOne.ts");
    await runInFolder(invocation, config, folderName(config, "train"), trainOne, (terminal, result) =>
      terminal.print(
        `${result.evaluatedOn === "test" ? "Test" : "Validation"} accuracy ${formatPercent(result.accuracy)} (mean of the classes ${formatPercent(result.balancedAccuracy)}) after ${formatCount(result.computeMacs)}MAC, ${formatDuration(result.seconds * 1e3)}; ${formatCount(result.parameters)} parameters\nModel   ${result.model}\nReport  ${result.out}/report.html`,
      ),
    );
  },
};
