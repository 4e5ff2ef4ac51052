/** `sheaf paper`: the table of the paper with all controls, curves and seeds, for hours in the background. */
import { InvalidArgumentError, Option } from "commander";
import type { JobEstimate } from "../../paper/estimate.ts";
import type { PaperEvent } from "../../paper/execute.ts";
import type { PaperPlan, PaperResult } from "../../paper/paper.ts";
import { methodGroups, type ScaleName, scales } from "../../paper/scales.ts";
import { formatCount, formatDuration, formatPercent, formatRatio, table } from "../../util/format.ts";
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

const formatMacs = (macs: number): string => `${formatCount(macs)}MAC`;

/** How fast a core of a laptop trains networks of this size, about; only for the first guess of how long it takes. */
const guessedMacsPerCoreSecond = 25e9;

/** Says what is to come, then a line for each job as it ends, with the time left by the speed so far. */
class Progress {
  readonly #terminal: Terminal;
  readonly #started = performance.now();
  #open = new Map<string, number>();
  #done = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  plan(open: readonly JobEstimate[], jobs: number): void {
    this.#open = new Map(open.map(({ job, macs }) => [job, macs]));
    const total = this.#left();
    const time = formatDuration((1000 * total) / guessedMacsPerCoreSecond);
    this.#terminal.note(
      open.length === 0
        ? `All ${jobs} jobs have finished already`
        : `${open.length} of ${jobs} jobs to run, ${formatMacs(total)} in all: at a guess ${time} of one core`,
    );
    for (const { job, reason } of open) if (reason !== undefined) this.#terminal.note(`${job} will have no result: ${reason}`);
  }

  say(event: PaperEvent): void {
    if (event.type === "started") {
      this.#terminal.note(`${event.job} started`);
      return;
    }
    this.#done += this.#open.get(event.job) ?? 0;
    this.#open.delete(event.job);
    const place = `${event.done} of ${event.jobs}`;
    if (event.type === "failed") {
      this.#terminal.note(`${place}  ${event.job} failed: ${event.reason}`);
      return;
    }
    const { measurements, seconds } = event.record;
    const accuracies = measurements.map(({ method, head, accuracy }) => [head ?? method ?? "accuracy", formatPercent(accuracy)].join(" "));
    const left = this.#done > 0 ? ((performance.now() - this.#started) * this.#left()) / this.#done : 0;
    const time = left > 0 ? `; about ${formatDuration(left)} left` : "";
    this.#terminal.note(`${place}  ${event.job} finished in ${formatDuration(seconds * 1e3)}: ${accuracies.join(", ")}${time}`);
  }

  #left(): number {
    return [...this.#open.values()].reduce((sum, macs) => sum + macs, 0);
  }
}

/** Jobs with what they take; those of further seeds cost the same. */
function printPlan(terminal: Terminal, { jobs }: PaperPlan, estimates: readonly JobEstimate[]): void {
  const rows = jobs.map(({ id, kind, methods }, i) => {
    const { macs = 0, reason } = estimates[i] ?? {};
    return [id, kind, reason ?? formatMacs(macs), (macs / guessedMacsPerCoreSecond / 60).toFixed(1), methods.slice(1).join(", ")];
  });
  const total = estimates.reduce((sum, { macs }) => sum + macs, 0);
  terminal.print(table([["job", "kind", "compute", "core minutes", "also"], ...rows]));
  terminal.print(
    `\n${jobs.length} jobs, ${formatMacs(total)}; core minutes are guessed at ${formatMacs(guessedMacsPerCoreSecond)} a second.`,
  );
}

/** The command that gives the same numbers, whether it was interrupted or not, wherever data lie and results were put. */
const wholeCommand = (line: string): string =>
  line.replaceAll(/ --(?:resume|json|write|(?:into|data)(?: |=)(?:"[^"]*"|'[^']*'|\S+))(?= |$)/g, "");

function printResult(terminal: Terminal, { cells, summary }: PaperResult, out: string): void {
  const rows = cells.flatMap(({ id, title, head }) =>
    summary
      .filter((row) => row.cell === id && (row.head === undefined || row.head === head))
      .map((row) => [
        title,
        row.head === undefined ? row.method : `${row.method} ${row.head}`,
        formatPercent(row.score.mean),
        row.gap ? `${(100 * row.gap.mean).toFixed(1)}` : "",
        row.leastRatio === undefined ? "" : formatRatio(row.leastRatio),
      ]),
  );
  terminal.print(table([["cell", "method", "accuracy", "to central", "times less"], ...rows]));
  terminal.print(`\nPage     ${out}/paper.md\nResults  ${out}/results.json, ${out}/results.csv`);
}

export const paper: CommandSpec = {
  flags: ["workers"],
  options: [
    new Option("--scale <scale>", "how large: smoke (minutes), small (hours) or full (days)").choices(Object.keys(scales)).default("smoke"),
    new Option("--cells <list>", "cells such as vgg-cifar10,alexnet-kws; those of the scale when left out").argParser(list),
    new Option(
      "--methods <list>",
      `groups (${methodGroups.join(", ")}) or methods such as joint,rho-0, beside central and sheaf; those of the scale when left out`,
    ).argParser(list),
    new Option("--seeds <n>", "number of seeds, from --seed on; that of the scale when left out").argParser(count),
    new Option("--list", "print the jobs with what they take, and run none"),
    new Option("--write", "run nothing; write results, figures and page of the jobs that have finished"),
    new Option("--into <file>", "put the page into this one too, between its two marker comments"),
  ],
  examples: [
    ["paper --scale smoke --out runs/smoke", "every method once on images drawn in code"],
    ["paper --scale small --cells vgg-cifar10 --out runs/small", "one cell with a part of the data"],
    ["paper --scale full --seeds 3 --out runs/paper", "everything"],
    ["paper --scale full --seeds 3 --out runs/paper --resume", "go on after an interruption"],
    ["paper --scale full --seeds 3 --out runs/paper --write --into docs/results.md", "what has finished, as a part of a page"],
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
    const { planPaper, runPaper } = await import("../../paper/paper.ts");
    const source = options.data === undefined ? {} : { dataDir: options.data };
    if (options.list === true) {
      const { estimateJobs } = await import("../../paper/estimate.ts");
      const plan = await planPaper(request);
      const estimates = await estimateJobs(plan.jobs, { ...source, signal });
      terminal.printJson({
        jobs: plan.jobs.map(({ id, kind, cell, seed, methods }, i) => ({ id, kind, cell, seed, methods, macs: estimates[i]?.macs ?? 0 })),
      });
      printPlan(terminal, plan, estimates);
      return;
    }
    const out = options.out ?? `runs/paper-${request.scale}`;
    const progress = new Progress(terminal);
    const { result, failure } = await runPaper({
      ...request,
      ...source,
      out,
      resume: options.resume === true,
      writeOnly: options.write === true,
      ...(options.into === undefined ? {} : { into: options.into as string }),
      signal,
      commandLine: wholeCommand(commandLine),
      onPlanned: (open, jobs) => progress.plan(open, jobs),
      onEvent: (event) => progress.say(event),
    });
    terminal.printJson(result);
    printResult(terminal, result, out);
    if (failure) throw failure;
  },
};
