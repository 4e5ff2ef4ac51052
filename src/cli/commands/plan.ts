/** `sheaf plan`: who would train what. */
import { join } from "node:path";
import { writeFileAtomic } from "../../util/files.node.ts";
import { formatRatio } from "../../util/format.ts";
import type { CommandSpec } from "../command.ts";
import { run } from "./run.ts";

export const plan: CommandSpec = {
  // All of run's, so that a command line of run becomes one of plan by its first word.
  flags: run.flags ?? [],
  examples: [
    ["plan --network vgg11 --rho 0.25", "the default fleet of five"],
    ["plan --config fleet.yaml --set fleet.deadlineSeconds=600", "every device done within ten minutes"],
    ["plan --network alexnet --set fleet.minimumRatio=11.8 --json", "at least 11.8 times less computation each"],
  ],
  async run({ options, terminal, config }) {
    const settings = await config();
    const { describePlan } = await import("../../plan/describe.ts");
    const { loadData } = await import("../../run/loadData.ts");
    const { prepareRun, spread } = await import("../../run/prepare.ts");
    const { fitOf, loadTarget } = await import("../../run/target.ts");
    const { openProgress } = await import("../progress.ts");
    const data = await loadData(settings, options, openProgress(terminal).data);
    const { network: target, parameters } = await loadTarget(settings, fitOf(data.train));
    const prepared = prepareRun(settings, target, data.train, parameters !== undefined);
    const { plan: planned } = prepared;
    const result = {
      target: planned.target,
      dataSet: data.train.name,
      redundancy: planned.redundancy,
      leastDistance: planned.leastDistance,
      correctedErasures: planned.correctedErasures,
      excluded: planned.excluded,
      ratio: spread(prepared.devices.map((d) => d.expected.ratio)),
      codewords: Object.fromEntries(planned.codewords.map((devices, c) => [data.train.classNames[c] ?? String(c), devices])),
      devices: prepared.devices.map(({ planned: d, own, background, made, expected }) => ({
        id: d.id,
        profile: d.profile,
        taskSet: d.taskSet,
        classes: d.taskSet.map((c) => data.train.classNames[c]),
        width: d.size,
        widths: d.widths,
        epochs: d.epochs,
        batchSize: d.batchSize,
        ownSamples: own.length,
        backgroundSamples: background.length,
        madeSamples: made.length,
        ...expected,
      })),
    };
    if (options.out) await writeFileAtomic(join(options.out, "plan.json"), `${JSON.stringify(result, null, 2)}\n`);
    terminal.printJson(result);
    terminal.print(describePlan(planned, data.train.classNames));
    terminal.print(
      `\nTimes less computation than the full target: least ${formatRatio(result.ratio.min)}, median ${formatRatio(result.ratio.median)}, most ${formatRatio(result.ratio.max)}`,
    );
  },
};
