#!/usr/bin/env node
/** The `sheaf` command: dispatches, and turns failures into one sentence and an exit code. */
import { Command, CommanderError } from "commander";
import { sheafVersion } from "../run/machine.ts";
import { exitCodes, SheafError } from "../util/errors.ts";
import { reportUsage, toCommand, usageSentence } from "./command.ts";
import { commands } from "./commands/table.ts";
import { openTerminal } from "./terminal.ts";

/** Wrong usage that commander found is 2; its help and version are successes. */
function fromCommander(error: CommanderError): number {
  return error.exitCode === 0 ? 0 : exitCodes.usage;
}

function report(error: unknown, argv: readonly string[]): number {
  if (error instanceof CommanderError) {
    if (error.exitCode !== 0 && argv.includes("--json")) {
      openTerminal(true).printJson({ error: { code: "usage", exitCode: exitCodes.usage, message: `${usageSentence(error.message)}.` } });
    }
    return fromCommander(error);
  }
  const code = error instanceof SheafError ? error.code : "internal";
  const text = error instanceof Error ? error.message : String(error);
  const message =
    code === "internal"
      ? `Sheaf met a case that it does not handle: ${text} Please report it with the output of the same command and --verbose.`
      : text;
  openTerminal(argv.includes("--json")).printJson({ error: { code, exitCode: exitCodes[code], message } });
  process.stderr.write(`sheaf: ${message}\n`);
  if (argv.includes("--verbose") && error instanceof Error)
    process.stderr.write(`${error.stack}\n${error.cause instanceof Error ? `cause: ${error.cause.stack}\n` : ""}`);
  return exitCodes[code];
}

/** Runs one command line; resolves to its exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  const interrupt = new AbortController();
  let presses = 0;
  const onInterrupt = (): void => {
    if (++presses > 1) {
      // Not process.exit: it ends worker threads in the midst of native code, which aborts with a core dump. A shell sees 130 either way.
      process.off("SIGINT", onInterrupt);
      process.kill(process.pid, "SIGINT");
      return;
    }
    process.stderr.write("\nStopping: keeping what is done (press Ctrl-C again to stop at once)…\n");
    interrupt.abort();
  };
  process.on("SIGINT", onInterrupt);
  process.on("SIGTERM", onInterrupt);
  const program = reportUsage(new Command("sheaf"), "sheaf")
    .description("Trains one CNN on a fleet of unequal devices without synchronising them.")
    .version(sheafVersion, "--version")
    .addHelpText(
      "after",
      "\nStart with:\n  $ sheaf quickstart                a small fleet, start to report, in under three minutes\n  $ sheaf run --help                the whole pipeline with your own settings\n\nExit codes: 0 success, 1 defect, 2 usage, 3 configuration, 4 data, 5 network, 6 no plan, 7 diverged,\n            8 corrupt file, 9 storage, 10 unavailable, 130 interrupted (resume with --resume)",
    );
  const groups = new Map<string, Command>();
  for (const spec of commands) {
    const command = toCommand(spec, interrupt.signal);
    if (typeof spec.name === "string") {
      program.addCommand(command);
      continue;
    }
    const [name] = spec.name;
    let group = groups.get(name);
    if (!group) {
      const inner = commands.filter((other) => other.name[0] === name && typeof other.name !== "string");
      const summaries = inner.map((other) => `${other.name[1]}: ${other.summary}`);
      group = reportUsage(new Command(name), `sheaf ${name}`).description(summaries.join("; "));
      groups.set(name, group);
      program.addCommand(group);
    }
    group.addCommand(command, { isDefault: spec.isDefault ?? false });
  }
  try {
    if (argv.length === 0) {
      program.outputHelp();
      return 0;
    }
    await program.parseAsync([...argv], { from: "user" });
    return 0;
  } catch (error) {
    return report(error, argv);
  } finally {
    process.off("SIGINT", onInterrupt);
    process.off("SIGTERM", onInterrupt);
  }
}

// A reader that goes away (`sheaf cost | head`) is not an error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});
process.exitCode = await main(process.argv.slice(2));
