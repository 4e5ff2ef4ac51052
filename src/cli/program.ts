/** All commands as one program of commander's, which knows each by its entry in the table and loads the one that is asked for. */
import { Command, Help } from "commander";
import { sheafVersion } from "../run/machine.ts";
import { type CommandEntry, complete, outlineOf, reportUsage } from "./command.ts";
import { commands } from "./commands/table.ts";

const afterHelp =
  "\nStart with:\n  $ sheaf quickstart                a small fleet, start to report, in under three minutes\n  $ sheaf run --help                the whole pipeline with your own settings\n\nExit codes: 0 success, 1 defect, 2 usage, 3 configuration, 4 data, 5 network, 6 no plan, 7 diverged,\n            8 corrupt file, 9 storage, 10 unavailable, 130 interrupted (resume with --resume)";

/** Does what a command line says. Throws what commander throws for wrong usage, help and version, and what the command throws. */
export async function runProgram(argv: readonly string[], signal: AbortSignal): Promise<void> {
  const outlines = new Map<Command, CommandEntry>();
  const load = async (command: Command): Promise<void> => {
    const entry = outlines.get(command);
    outlines.delete(command);
    if (entry) await complete(command, entry, signal);
  };
  const plain = new Help();
  /** Every command takes options, which an outline does not know yet. */
  const subcommandTerm = (command: Command): string => {
    const term = plain.subcommandTerm(command);
    return outlines.has(command) ? term.replace(command.name(), "$& [options]") : term;
  };
  const parent = (name: string, words: string): Command =>
    reportUsage(new Command(name), words)
      .configureHelp({ subcommandTerm })
      .hook("preSubcommand", (_, command) => load(command));

  const program = parent("sheaf", "sheaf")
    .description("Trains one CNN on a fleet of unequal devices without synchronising them.")
    .version(sheafVersion, "--version")
    .addHelpText("after", afterHelp);
  const groups = new Map<string, Command>();
  for (const entry of commands) {
    const command = outlineOf(entry);
    outlines.set(command, entry);
    if (typeof entry.name === "string") {
      program.addCommand(command);
      continue;
    }
    const [name] = entry.name;
    let group = groups.get(name);
    if (!group) {
      const inner = commands.filter((other) => other.name[0] === name && typeof other.name !== "string");
      const summaries = inner.map((other) => `${other.name[1]}: ${other.summary}`);
      group = parent(name, `sheaf ${name}`).description(summaries.join("; "));
      groups.set(name, group);
      program.addCommand(group);
    }
    group.addCommand(command, { isDefault: entry.isDefault ?? false });
  }
  if (argv.length === 0) {
    program.outputHelp();
    return;
  }
  // `help NAME` and `GROUP help NAME` print at once: no hook comes before.
  const at = argv.indexOf("help");
  const above = at === 0 ? program : at === 1 ? groups.get(argv[0] ?? "") : undefined;
  const asked = above?.commands.find((command) => command.name() === argv[at + 1]);
  if (asked) await load(asked);
  await program.parseAsync([...argv], { from: "user" });
}
