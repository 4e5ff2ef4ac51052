/** `sheaf shape`: which shape of a narrow network is the most accurate within a budget of computation. */
import { InvalidArgumentError, Option } from "commander";
import { defaultCandidates } from "../../plan/shapeCandidates.ts";
import type { RunOptions } from "../../run/options.ts";
import type { ShapeSearchResult } from "../../run/shapeSearch.ts";
import { formatCount, formatDuration, formatPercent, formatRatio, table } from "../../util/format.ts";
import type { CommandSpec } from "../command.ts";
import { folderName, runInFolder } from "../runFolder.ts";
import type { Terminal } from "../terminal.ts";

const ratio = new Option("--ratio <times>", "how many times less than the target the narrow networks compute")
  .default(11.8)
  .argParser((text) => {
    const value = Number(text);
    if (!(value >= 1 && Number.isFinite(value))) throw new InvalidArgumentError("Expected a number of at least 1.");
    return value;
  });

const candidates = new Option("--candidates <list>", "shapes to try: uniform, recipe, or exponents from 0 to 2, with commas between")
  .default(defaultCandidates, defaultCandidates.join(","))
  .argParser((text) => text.split(",").map((name) => name.trim()));

function printResult(terminal: Terminal, result: ShapeSearchResult): void {
  const { bold, green, dim } = terminal.colors;
  terminal.print(
    bold(`\n${result.network} at ${formatRatio(result.ratio)} less computation: validation accuracy after ${result.epochs} epoch(s)`),
  );
  terminal.print(
    table(
      [
        ["  shape", "MACs", "times less", "parameters", "channels by layer", "accuracy", ""],
        ...result.shapes.map(({ names, macs, ratio: times, parameters, channels, accuracy }) => [
          `  ${names.join(", ")}`,
          formatCount(macs),
          formatRatio(times),
          formatCount(parameters),
          Object.values(channels).join(" "),
          formatPercent(accuracy, 2),
          names[0] === result.best ? green("← best") : "",
        ]),
      ],
      { align: ["left", "right", "right", "right", "left", "right", "left"] },
    ),
  );
  const { train, validation } = result.dataSet;
  terminal.print(
    dim(`  ${train} samples trained on, ${validation} validation samples; one seed (${result.seed}): differences of a point may be chance`),
  );
  terminal.print(`\nResult  ${result.out}/result.json\nTook    ${formatDuration(result.seconds * 1e3)}`);
}

export const shape: CommandSpec = {
  flags: ["trainCount", "network", "width", "epochs", "batch", "learningRate", "workers"],
  options: [ratio, candidates],
  examples: [
    ["shape --network tiny --data-set glyphs --ratio 4 --epochs 2 --candidates uniform,0.5", "something small"],
    ["shape --network vgg11 --ratio 11.8 --epochs 4 --train-count 10000", "nine shapes of VGG-11, for hours"],
    ["shape --network vgg11 --ratio 11.8 --epochs 4 --train-count 10000 --out runs/shape --resume", "go on after an interruption"],
  ],
  async run(invocation) {
    const config = await invocation.config();
    const { ratio, candidates } = invocation.options as unknown as { readonly ratio: number; readonly candidates: readonly string[] };
    const { searchShapes } = await import("../../run/shapeSearch.ts");
    const search = (options: RunOptions): Promise<ShapeSearchResult> => searchShapes({ ...options, ratio, candidates });
    await runInFolder(invocation, config, folderName(config, "shape"), search, printResult);
  },
};
