#!/usr/bin/env node
/** The `sheaf` command: runs one command line, and turns failures into one sentence and an exit code. */
import { CommanderError } from "commander";
import { exitCodes, SheafError } from "../util/errors.ts";
import { usageSentence } from "./command.ts";
import { runProgram } from "./program.ts";
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
  try {
    await runProgram(argv, interrupt.signal);
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
