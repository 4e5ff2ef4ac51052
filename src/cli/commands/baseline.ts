/** `sheaf baseline`: a published method on the same fleet, samples and profiles as `sheaf run`. */
import { InvalidArgumentError, Option } from "commander";
import type { BaselineEvent } from "../../run/baseline.ts";
import type { BaselineResult } from "../../run/baselineResult.ts";
import type { RunOptions } from "../../run/options.ts";
import { SheafError } from "../../util/errors.ts";
import { formatBytes, formatCount, formatDuration, formatPercent, formatRatio, table } from "../../util/format.ts";
import type { CommandSpec } from "../command.ts";
import type { ProgressDisplay } from "../progress.ts";
import { folderName, runInFolder } from "../runFolder.ts";
import type { Terminal } from "../terminal.ts";

/** Throws `usage` for what is no baseline. */
async function methodOf(name: string | undefined) {
  const { baselineNames, baselines } = await import("../../baselines/table.ts");
  const method = baselineNames.find((known) => known.toLowerCase() === name?.toLowerCase());
  if (method) return { method, ...baselines[method] };
  throw new SheafError("usage", `There is no baseline "${name}"; choose one of ${baselineNames.join(", ")}.`);
}

function printResult(terminal: Terminal, result: BaselineResult): void {
  const { bold, dim } = terminal.colors;
  const { compute, bytes } = result;
  terminal.print(
    bold(`\n${result.title}: ${result.evaluatedOn} accuracy ${formatPercent(result.accuracy)} after ${result.rounds} round(s)`),
  );
  terminal.print(
    table([
      ["  device", "rounds", "computed", "full target", "times less", "down", "up", "busy", "memory"],
      ...compute.byDevice.map((d) => [
        `  ${d.id}`,
        String(d.rounds),
        `${formatCount(d.totalMacs)}MAC`,
        `${formatCount(d.fullTargetMacs)}MAC`,
        formatRatio(d.ratio),
        formatBytes(d.bytesDown),
        formatBytes(d.bytesUp),
        formatDuration(d.busySeconds * 1e3),
        d.fits ? "enough" : "not enough",
      ]),
    ]),
  );
  const { min, median, max } = compute.ratio;
  terminal.print(
    dim(
      `  least ${formatRatio(min)}, median ${formatRatio(median)}, most ${formatRatio(max)}; bytes moved: ${formatBytes(bytes.down)} down, ${formatBytes(bytes.up)} up; on the fleet ${formatDuration(result.virtualSeconds * 1e3)}`,
    ),
  );
  terminal.print(`\nModel   ${result.model.file} (${formatBytes(bytes.model)})\nTook    ${formatDuration(result.seconds * 1e3)}`);
}

/** A line for a round that has ended. */
function describeRound({ round, rounds, accuracy, loss, virtualSeconds }: Extract<BaselineEvent, { type: "round" }>): string {
  const parts = [
    round > rounds ? "running statistics measured" : `round ${round}/${rounds}`,
    ...(loss === undefined ? [] : [`loss ${loss.toFixed(3)}`]),
    ...(accuracy === undefined ? [] : [`accuracy ${formatPercent(accuracy)}`]),
    `${formatDuration(virtualSeconds * 1e3)} on the fleet`,
  ];
  return parts.join("  ");
}

const rounds = new Option("--rounds <n>", "rounds of local training and averaging (as many as make the configured epochs)").argParser(
  (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("Expected a whole number of at least 1.");
    return value;
  },
);

export const baseline: CommandSpec = {
  flags: [
    "trainCount",
    "testCount",
    "network",
    "width",
    "epochs",
    "batch",
    "learningRate",
    "subWidth",
    "redundancy",
    "classesPerDevice",
    "rho",
    "head",
    "workers",
  ],
  options: [rounds],
  examples: [
    ["baseline fedAvg --data-set glyphs --network tiny --rounds 3 --out runs/fedavg", "something small"],
    ["baseline heteroFl --config fleet.yaml --rounds 50 --json", "slices as wide as each device can afford"],
    ["baseline averageOfSlim --config fleet.yaml --set baseline.members=3", "a control: three slim nets that see all data"],
    ["baseline heteroFl --out runs/heterofl --resume", "go on after an interruption"],
  ],
  async run(invocation) {
    const { options, terminal } = invocation;
    const { method, title, paper } = await methodOf(invocation.arguments[0]);
    const given = await invocation.config();
    const config = options.rounds === undefined ? given : { ...given, baseline: { ...given.baseline, rounds: options.rounds as number } };
    terminal.note(`${title}: ${paper}`);
    const { runBaseline } = await import("../../run/baseline.ts");
    const work = (common: RunOptions, display: ProgressDisplay): Promise<BaselineResult> =>
      runBaseline({
        ...common,
        method,
        onEvent: (event) => (event.type === "round" ? display.say(describeRound(event)) : display.show(event)),
      });
    await runInFolder(invocation, config, folderName(config, method), work, printResult);
  },
};
