/** What a command of `sheaf` is: a name, its options, examples, and what it does. */
import { Command, type Option } from "commander";
import type { RunConfig } from "../run/config.ts";
import { addOptions, type CommonOptions, type ConfigFlag, readConfig, terminalOf } from "./options.ts";
import type { Terminal } from "./terminal.ts";

/** What a command gets to work with. */
export interface Invocation {
  readonly arguments: readonly string[];
  readonly options: CommonOptions & Readonly<Record<string, unknown>>;
  readonly terminal: Terminal;
  /** Set when the user presses Ctrl-C. */
  readonly signal: AbortSignal;
  /** The words after `sheaf`, as typed, for reports. */
  readonly commandLine: string;
  /** The configuration from file, flags and --set over the command's own defaults. */
  config(defaults?: unknown): Promise<RunConfig>;
}

export interface CommandSpec {
  /** Name, or names from outer to inner: `["bench", "step"]`. */
  readonly name: string | readonly [string, string];
  readonly summary: string;
  /** Of a command with two names: it is what the outer name alone does. */
  readonly isDefault?: boolean;
  /** Positional arguments in commander's notation, `<needed>`, `[optional]`, `[many...]`. */
  readonly arguments?: string;
  readonly flags?: readonly ConfigFlag[];
  readonly options?: readonly Option[];
  /** Command lines without the leading `sheaf `, each with what it does. */
  readonly examples: readonly (readonly [command: string, what: string])[];
  run(invocation: Invocation): Promise<void>;
}

/** What commander says about wrong usage, as one sentence: without its "error:", a suggestion in the same line. */
export function usageSentence(message: string): string {
  const text = message
    .trim()
    .replace(/^error: /, "")
    .replaceAll(/\s*\n\s*/g, " ");
  const sentence = text === "(outputHelp)" ? "a command is missing" : text.replace(/\.$/, "");
  return `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}`;
}

/** Makes a command report wrong usage like every other failure; `words` are what stands before its options. */
export function reportUsage(command: Command, words: string): Command {
  return command.exitOverride().configureOutput({
    outputError: (message, write) => write(`sheaf: ${usageSentence(message)}; see ${words} --help.\n`),
  });
}

/** Turns a specification into a commander command. */
export function toCommand(spec: CommandSpec, signal: AbortSignal): Command {
  const words = typeof spec.name === "string" ? [spec.name] : spec.name;
  const command = reportUsage(new Command(words.at(-1)), `sheaf ${words.join(" ")}`);
  command.description(spec.summary);
  if (spec.arguments) command.arguments(spec.arguments);
  for (const option of spec.options ?? []) command.addOption(option);
  addOptions(command, spec.flags ?? []);
  const width = Math.max(...spec.examples.map(([line]) => line.length));
  command.addHelpText(
    "after",
    `\nExamples:\n${spec.examples.map(([line, what]) => `  $ sheaf ${line.padEnd(width)}  ${what}`).join("\n")}`,
  );
  command.action(async () => {
    const options = command.opts<CommonOptions & Record<string, unknown>>();
    await spec.run({
      arguments: command.args,
      options,
      terminal: terminalOf(options),
      signal,
      commandLine: `sheaf ${process.argv.slice(2).join(" ")}`,
      config: (defaults) => readConfig(options, defaults),
    });
  });
  return command;
}
