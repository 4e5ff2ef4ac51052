/** `sheaf paper`: the table of the paper with all controls, curves and seeds, for hours in the background. */
import { InvalidArgumentError, Option } from "commander";
import type { PaperEvent } from "../../paper/execute.ts";
import { type PaperPlan, type PaperResult, planPaper, runPaper } from "../../paper/paper.ts";
import { type ScaleName, scales } from "../../paper/scales.ts";
import { formatDuration, formatPercent, formatRatio, table } from "../../util/format.ts";
import type { CommandSpec } from "../command.ts";
import type { Terminal } from "../terminal.ts";

const list = (text: string): readonly string[] =>
  text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");

const count = (text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("Expected a whole number of at least 1.");
  return value;
};

/** A line for each job as it ends. */
function say(terminal: Terminal, event: PaperEvent): void {
  if (event.type === "started") {
    terminal.note(`${event.job} started`);
    return;
  }
  const place = `${event.done} of ${event.jobs}`;
  if (event.type === "failed") {
    terminal.note(`${place}  ${event.job} failed: ${event.reason}`);
    return;
  }
  const { measurements, seconds } = event.record;
  const accuracies = measurements.map(({ method, head, accuracy }) => [head ?? method ?? "accuracy", formatPercent(accuracy)].join(" "));
  terminal.note(`${place}  ${event.job} finished in ${formatDuration(seconds * 1e3)}: ${accuracies.join(", ")}`);
}

function printPlan(terminal: Terminal, { jobs }: PaperPlan): void {
  terminal.print(table([["job", "kind", "also"], ...jobs.map(({ id, kind, methods }) => [id, kind, methods.slice(1).join(", ")])]));
}

function printResult(terminal: Terminal, { cells, summary }: PaperResult, out: string): void {
  const rows = cells.flatMap(({ id, title, head }) =>
    summary
      .filter((row) => row.cell === id && (row.head === undefined || row.head === head))
      .map((row) => [
        title,
        row.head === undefined ? row.method : `${row.method} ${row.head}`,
        formatPercent(row.accuracy.mean),
        row.gap ? `${(100 * row.gap.mean).toFixed(1)}` : "",
        row.leastRatio === undefined ? "" : formatRatio(row.leastRatio),
      ]),
  );
  terminal.print(table([["cell", "method", "accuracy", "to central", "times less"], ...rows]));
  terminal.print(`\nPage     ${out}/paper.md\nResults  ${out}/results.json, ${out}/results.csv`);
}

export const paper: CommandSpec = {
  name: "paper",
  summary: "the table of all controls, curves and ablations over several seeds, as resumable jobs",
  flags: ["workers"],
  options: [
    new Option("--scale <scale>", "how large: smoke (minutes), small (hours) or full (days)").choices(Object.keys(scales)).default("smoke"),
    new Option("--cells <list>", "cells such as vgg-cifar10,alexnet-kws; those of the scale when left out").argParser(list),
    new Option("--methods <list>", "methods such as joint,rho-0 beside central and sheaf; all when left out").argParser(list),
    new Option("--seeds <n>", "number of seeds, from --seed on; that of the scale when left out").argParser(count),
    new Option("--list", "print the jobs and run none"),
  ],
  examples: [
    ["paper --scale smoke --out runs/smoke", "every method once on images drawn in code"],
    ["paper --scale small --cells vgg-cifar10 --out runs/small", "one cell with a part of the data"],
    ["paper --scale full --seeds 3 --out runs/paper", "everything"],
    ["paper --scale full --seeds 3 --out runs/paper --resume", "go on after an interruption"],
    ["paper --scale full --set data.evaluateOn=validation --out runs/choices", "for choices: the test samples are not looked at"],
  ],
  async run({ options, terminal, signal, commandLine, config }) {
    const request = {
      scale: options.scale as ScaleName,
      ...(options.cells === undefined ? {} : { cells: options.cells as readonly string[] }),
      ...(options.methods === undefined ? {} : { methods: options.methods as readonly string[] }),
      ...(options.seeds === undefined ? {} : { seeds: options.seeds as number }),
      configOf: config,
    };
    if (options.list === true) {
      const plan = await planPaper(request);
      terminal.printJson({ jobs: plan.jobs.map(({ id, kind, cell, seed, methods }) => ({ id, kind, cell, seed, methods })) });
      printPlan(terminal, plan);
      return;
    }
    const out = options.out ?? `runs/paper-${request.scale}`;
    const result = await runPaper({
      ...request,
      out,
      resume: options.resume === true,
      ...(options.data === undefined ? {} : { dataDir: options.data }),
      signal,
      commandLine,
      onEvent: (event) => say(terminal, event),
    });
    terminal.printJson(result);
    printResult(terminal, result, out);
  },
};
