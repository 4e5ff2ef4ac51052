/**
 * The hash chain of the log: every entry names the one before by its hash, so that nothing can be changed, taken out, put in or moved without all
 * later hashes changing. Whoever can rewrite the whole log can rewrite all hashes; a head that was noted elsewhere shows that too.
 */
import { SheafError } from "../util/errors.ts";
import { canonicalJson } from "../util/json.ts";
import type { Event } from "./events.ts";

/** An entry of the log. `hash` is SHA-256 of the canonical JSON of the three other fields. */
export interface LogEntry {
  /** From 1, without gaps. */
  readonly sequence: number;
  readonly event: Event;
  readonly previousHash: string;
  readonly hash: string;
}

/** An entry as it was written; its hash is checked by `sheaf audit verify`, its place by the state machine. */
export function parseEntry(value: unknown): LogEntry {
  const entry = value as Partial<LogEntry> | null;
  if (typeof entry === "object" && entry !== null && Number.isInteger(entry.sequence) && typeof entry.event?.type === "string")
    return entry as LogEntry;
  throw new SheafError("corrupt", "An entry of the log is none; restore the data directory from a backup.");
}

/** Where a log ends. */
export interface LogHead {
  readonly sequence: number;
  readonly hash: string;
}

/** Hash that the first entry names as the one before it. */
export const genesisHash: string = "0".repeat(64);
/** The head of a log without entries. */
export const emptyHead: LogHead = { sequence: 0, hash: genesisHash };

/** SHA-256 of a text's UTF-8 in lower-case hexadecimal digits. */
export type Sha256 = (text: string) => string | Promise<string>;

const hashedText = (sequence: number, previousHash: string, event: Event): string => canonicalJson({ sequence, previousHash, event });

/**
 * Entries for events, to be appended after `head`.
 * @example const entries = await chainEvents(emptyHead, events, sha256);
 */
export async function chainEvents(head: LogHead, events: readonly Event[], sha256: Sha256): Promise<readonly LogEntry[]> {
  const entries: LogEntry[] = [];
  let { sequence, hash: previousHash } = head;
  for (const event of events) {
    sequence++;
    const hash = await sha256(hashedText(sequence, previousHash, event));
    entries.push({ sequence, event, previousHash, hash });
    previousHash = hash;
  }
  return entries;
}

/** What `verifyLog` found: the head that a sound log ends with, or the first entry that is not as it was written. */
export type Verification =
  | { readonly ok: true; readonly head: LogHead }
  | { readonly ok: false; readonly sequence: number; readonly problem: string };

/**
 * Checks a log from its first entry on. With `anchor`, an entry noted earlier (its sequence and hash), also finds that the log was cut off
 * before it or rewritten from the start.
 */
export async function verifyLog(
  entries: Iterable<LogEntry> | AsyncIterable<LogEntry>,
  sha256: Sha256,
  anchor: LogHead = emptyHead,
): Promise<Verification> {
  let head = emptyHead;
  for await (const entry of entries) {
    const sequence = head.sequence + 1;
    const broken = (problem: string): Verification => ({ ok: false, sequence, problem });
    if (entry.sequence !== sequence) return broken(`Entry ${sequence} is missing: the next one is numbered ${entry.sequence}.`);
    if (entry.previousHash !== head.hash) return broken(`Entry ${sequence} does not follow the one before it: it names another hash.`);
    if ((await sha256(hashedText(sequence, entry.previousHash, entry.event))) !== entry.hash)
      return broken(`Entry ${sequence} is not what was written: its hash is another.`);
    if (sequence === anchor.sequence && entry.hash !== anchor.hash)
      return broken(`Entry ${sequence} has another hash than the one noted for it: the log was rewritten.`);
    head = { sequence, hash: entry.hash };
  }
  if (head.sequence < anchor.sequence)
    return {
      ok: false,
      sequence: head.sequence + 1,
      problem: `The log ends at entry ${head.sequence}, but entry ${anchor.sequence} was noted: its end is missing.`,
    };
  return { ok: true, head };
}
