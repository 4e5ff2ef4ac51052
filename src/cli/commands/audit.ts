/** `sheaf audit verify`: whether a coordinator's log is as it was written. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Option } from "commander";
import { sha256 } from "../../coordinator/bytes.ts";
import { emptyHead, type LogEntry, type LogHead, parseEntry, verifyLog } from "../../coordinator/chain.ts";
import { SheafError } from "../../util/errors.ts";
import { readFileChecked } from "../../util/files.node.ts";
import type { CommandSpec } from "../command.ts";
import { defaultStore } from "../coordinator.ts";

/** A head noted earlier, `SEQUENCE:HASH`. Throws `usage`. */
function parseAnchor(text: string | undefined): LogHead {
  if (text === undefined) return emptyHead;
  const [, sequence = "", hash = ""] = /^(\d+):([0-9a-f]{64})$/.exec(text) ?? [];
  if (hash === "") throw new SheafError("usage", `--noted must be SEQUENCE:HASH as this command printed it, got "${text}".`);
  return { sequence: Number(sequence), hash };
}

async function* linesOf(file: string): AsyncGenerator<LogEntry> {
  const text = new TextDecoder().decode(await readFileChecked(file, "log"));
  for (const [i, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    let entry: unknown;
    try {
      entry = JSON.parse(line);
    } catch (cause) {
      throw new SheafError("data", `Line ${i + 1} of ${file} is no entry of a log; give a file as GET /v1/audit answers with.`, { cause });
    }
    yield parseEntry(entry);
  }
}

export const auditVerify: CommandSpec = {
  options: [
    new Option("--store <dir>", "folder of the coordinator's state").default(defaultStore),
    new Option("--file <path>", "a log as GET /v1/audit gives it, instead"),
    new Option("--noted <head>", "SEQUENCE:HASH of an earlier check: the log must go on from there"),
  ],
  examples: [
    ["audit verify", "prints the number of the last entry and its hash; note it elsewhere"],
    ["audit verify --noted 812:HASH", "finds a log that was cut off or rewritten since"],
  ],
  async run({ options, terminal }) {
    const anchor = parseAnchor(options.noted as string | undefined);
    const file = options.file as string | undefined;
    const store = options.store as string;
    if (file === undefined && !existsSync(join(store, "log.sqlite")))
      throw new SheafError("data", `${store} has no log.sqlite; give --store as to \`sheaf serve\`.`);
    const { openSqliteStores } = await import("../../coordinator/sqliteLog.node.ts");
    const stores = file === undefined ? await openSqliteStores(join(store, "log.sqlite"), parseEntry, { onlyRead: true }) : undefined;
    const verification = await verifyLog(stores ? stores.log.read({ after: 0 }) : linesOf(file ?? ""), sha256, anchor).finally(() =>
      stores?.[Symbol.asyncDispose](),
    );
    if (!verification.ok) throw new SheafError("corrupt", `The log is not as it was written. ${verification.problem}`);
    const { sequence, hash } = verification.head;
    terminal.printJson({ ok: true, entries: sequence, head: `${sequence}:${hash}` });
    terminal.print(`${sequence} entries, each as it was written\nhead ${sequence}:${hash}`);
  },
};
