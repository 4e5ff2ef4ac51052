/** What a command of `sheaf` is: an entry that lists show, and its options, examples and what it does, which are loaded when it is asked for. */
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

/** What `sheaf --help` says of a command, and where the rest of it is. */
export interface CommandEntry {
  /** Name, or names from outer to inner: `["bench", "step"]`. */
  readonly name: string | readonly [string, string];
  readonly summary: string;
  /** Of a command with two names: it is what the outer name alone does. */
  readonly isDefault?: boolean;
  /** Positional arguments in commander's notation, `<needed>`, `[optional]`, `[many...]`. */
  readonly arguments?: string;
  load(): Promise<CommandSpec>;
}

/**
 * The rest of a command. Its module is loaded for its help and for wrong usage too: what is large, such as ONNX Runtime, it imports in `run` by
 * `await import()`.
 */
export interface CommandSpec {
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

const wordsOf = ({ name }: CommandEntry): readonly string[] => (typeof name === "string" ? [name] : name);

/** A command as lists show it: by name, arguments and summary. */
export function outlineOf(entry: CommandEntry): Command {
  const words = wordsOf(entry);
  const command = reportUsage(new Command(words.at(-1)), `sheaf ${words.join(" ")}`).description(entry.summary);
  return entry.arguments ? command.arguments(entry.arguments) : command;
}

/** Loads what an outline lacks: options, examples, and what the command does. */
export async function complete(outline: Command, entry: CommandEntry, signal: AbortSignal): Promise<Command> {
  const spec = await entry.load();
  for (const option of spec.options ?? []) outline.addOption(option);
  addOptions(outline, spec.flags ?? []);
  const width = Math.max(...spec.examples.map(([line]) => line.length));
  outline.addHelpText(
    "after",
    `\nExamples:\n${spec.examples.map(([line, what]) => `  $ sheaf ${line.padEnd(width)}  ${what}`).join("\n")}`,
  );
  return outline.action(async () => {
    const options = outline.opts<CommonOptions & Record<string, unknown>>();
    await spec.run({
      arguments: outline.args,
      options,
      terminal: terminalOf(options),
      signal,
      commandLine: `sheaf ${process.argv.slice(2).join(" ")}`,
      config: (defaults) => readConfig(options, defaults),
    });
  });
}
