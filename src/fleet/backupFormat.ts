/**
 * What a coordinator's backup is: a plain tar archive, not compressed (weights hardly shrink, and nothing can swell), whose first file `manifest.json` lists
 * every other with its size and SHA-256. Only names of a data folder may stand in it.
 */
import { z } from "zod";
import { sha256 } from "../coordinator/bytes.ts";
import { type LogEntry, type LogHead, parseEntry, verifyLog } from "../coordinator/chain.ts";
import { fold } from "../coordinator/fold.ts";
import { openSqliteStores } from "../coordinator/sqliteLog.node.ts";
import { emptyState, type State } from "../coordinator/state.ts";
import { runSummary } from "../coordinator/views.ts";
import type { RunStatus } from "../protocol/operatorMessages.ts";
import { SheafError } from "../util/errors.ts";

export const manifestFile = "manifest.json";
export const logFile = "log.sqlite";

/** Where an object lies in a data folder, with slashes as archives have them. */
export const objectPath = (sha256OfObject: string): string => `objects/${sha256OfObject.slice(0, 2)}/${sha256OfObject}`;

const objectPattern = /^objects\/([0-9a-f]{2})\/(\1[0-9a-f]{62})$/;
const keyPattern =
  /^(?:log\.sqlite|token\.key|server\.id|authority\/(?:(?:ca|server)\.(?:pem|key)|revoked\.crl|devices\/[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.(?:pem|key)))$/;

/** The object that a path of an archive names; undefined for other files. */
export const objectOf = (path: string): string | undefined => objectPattern.exec(path)?.[2];

/** Whether a file of that name belongs into a data folder. Everything else (`..`, absolute paths, links by any name) is refused. */
export const isAllowed = (path: string): boolean => objectPattern.test(path) || keyPattern.test(path);

/** A file of the archive. */
export interface BackupFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface Manifest {
  readonly format: "sheaf-backup-1";
  readonly sheafVersion: string;
  readonly createdAt: string;
  readonly head: LogHead;
  readonly files: readonly BackupFile[];
}

const count = z.int().nonnegative();
const hash = z.string().regex(/^[0-9a-f]{64}$/);

export const manifestSchema: z.ZodType<Manifest> = z.strictObject({
  format: z.literal("sheaf-backup-1"),
  sheafVersion: z.string().max(100),
  createdAt: z.string().max(40),
  head: z.strictObject({ sequence: count, hash }),
  files: z.array(
    z.strictObject({ path: z.string().max(200).refine(isAllowed, "is no file of a data folder"), bytes: count, sha256: hash }),
  ),
});

/** What a backup holds, as both commands tell it. */
export interface BackupContents {
  readonly entries: number;
  /** SEQUENCE:HASH of the log's last entry. */
  readonly head: string;
  readonly objects: number;
  readonly runs: readonly { readonly runId: string; readonly name: string; readonly status: RunStatus }[];
}

/** Reads a whole log that nobody else need be using: its chain checked, its state. Throws `corrupt` for one that is not as it was written. */
export async function readLog(path: string): Promise<{ readonly state: State; readonly head: LogHead }> {
  await using stores = await openSqliteStores(path, parseEntry, { onlyRead: true });
  let state = emptyState;
  async function* folding(): AsyncGenerator<LogEntry> {
    for await (const entry of stores.log.read({ after: 0 })) {
      yield entry;
      // Here again only once the entry has been found to be as it was written.
      state = fold(state, entry.event);
    }
  }
  const verification = await verifyLog(folding(), sha256);
  if (!verification.ok) throw new SheafError("corrupt", `The log is not as it was written. ${verification.problem}`);
  return { state, head: verification.head };
}

/** What there is to tell of a backup. */
export function contentsOf(state: State, head: LogHead, objects: number): BackupContents {
  const runs = [...state.runs.values()].map((run) => runSummary(run));
  return {
    entries: head.sequence,
    head: `${head.sequence}:${head.hash}`,
    objects,
    runs: runs.map(({ runId, name, status }) => ({ runId, name, status })),
  };
}
