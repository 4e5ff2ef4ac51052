/** `sheaf backup` and `sheaf restore`: a coordinator's data folder, or one run of it, in one file and back. */
import { Option } from "commander";
import type { BackupContents } from "../../fleet/backupFormat.ts";
import { formatBytes } from "../../util/format.ts";
import type { CommandSpec } from "../command.ts";
import { defaultStore } from "../coordinator.ts";

const contentLines = ({ head, entries, objects, runs }: BackupContents): string =>
  [
    `Log      ${entries} entries, each as it was written; head ${head}`,
    `Objects  ${objects}, each as its name says`,
    `Runs     ${runs.map(({ name, status }) => `${name} (${status})`).join(", ") || "none"}`,
  ].join("\n");

export const backup: CommandSpec = {
  options: [
    new Option("--store <dir>", "folder of the coordinator's state").default(defaultStore),
    new Option("--run <run>", "name or id of the one run that is wanted; the others are left behind"),
  ],
  examples: [
    ["backup fleet.tar", "of the coordinator on this machine, in sheaf-fleet"],
    ["backup night.tar --run fleet", "of one of its runs"],
  ],
  async run({ arguments: [file = ""], options, terminal, signal }) {
    const { backupStore } = await import("../../fleet/backup.ts");
    const run = options.run as string | undefined;
    const made = await backupStore({ store: options.store as string, file, signal, ...(run === undefined ? {} : { run }) });
    terminal.printJson(made);
    terminal.print(`Backup   ${made.file} (${formatBytes(made.bytes)})\nSHA-256  ${made.sha256}\n${contentLines(made)}`);
    terminal.note("\nThe keys of the coordinator are in it: keep it where you alone can read it.");
  },
};

export const restore: CommandSpec = {
  options: [new Option("--store <dir>", "folder to make; nothing may be there yet").default(defaultStore)],
  examples: [["restore fleet.tar --store sheaf-fleet", "then sheaf serve with the same --store"]],
  async run({ arguments: [file = ""], options, terminal, signal }) {
    const { restoreBackup } = await import("../../fleet/restore.ts");
    const restored = await restoreBackup({ file, store: options.store as string, signal });
    terminal.printJson(restored);
    terminal.print(`Store    ${restored.store}\n${contentLines(restored)}`);
    terminal.note(`\nGo on with it by \`sheaf serve --store ${restored.store}\` and the run's configuration.`);
  },
};
