/** `sheaf bench step`: how long one training step takes on this machine, and how much memory it needs. */
import { Option } from "commander";
import { formatBytes } from "../../util/format.ts";
import type { CommandSpec } from "../command.ts";

export const benchStepCommand: CommandSpec = {
  flags: ["network", "width", "batch", "seed"],
  options: [
    new Option("--threads <n>", "threads inside one operator").default(1).argParser(Number),
    new Option("--steps <n>", "steps to time, after a warm-up of half a second").default(9).argParser(Number),
  ],
  examples: [
    [
      "bench step --network vgg11 --width 0.25 --threads 1 --batch 64 --json",
      "the fields of other engines' benchmarks, and the memory peak",
    ],
  ],
  async run({ options, terminal, config }) {
    const settings = await config();
    const { benchStep } = await import("../../run/benchStep.ts");
    const { buildTarget, catalogFit } = await import("../../run/target.ts");
    const network = await buildTarget(settings, catalogFit("cifar10"));
    const result = await benchStep(network, settings.target.width, {
      threads: options.threads as number,
      steps: options.steps as number,
      batch: settings.training.batchSize,
      seed: settings.seed,
    });
    terminal.printJson(result);
    terminal.print(
      `${result.network} at width ${result.width}, batch ${result.batch}, ${result.threads} thread${result.threads === 1 ? "" : "s"}: ${result.ms} ms a step, ${result.imagesPerSecond} images/s, memory peak ${formatBytes(result.memoryPeakBytes)} (${result.engine})`,
    );
  },
};
