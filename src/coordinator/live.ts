/**
 * The state machine on a log: commands one after another, in batches that are written together, and nothing answered before it is on the disk.
 * Where a write fails, nothing of its batch has happened; where another coordinator wrote first, its events are read and the batch decided anew.
 */
import { ProtocolError } from "../protocol/errors.ts";
import { SheafError } from "../util/errors.ts";
import { chainEvents, emptyHead, type LogEntry, type LogHead, type Sha256 } from "./chain.ts";
import type { CommandOf, CommandType, Replies } from "./commands.ts";
import type { Event } from "./events.ts";
import { type ExecutionContext, execute } from "./execute.ts";
import { fold } from "./fold.ts";
import { forgetLeases, type Liveness, note, openLiveness } from "./liveness.ts";
import { emptyState, type State } from "./state.ts";
import type { EventLog } from "./store.ts";

export interface LiveOptions {
  readonly log: EventLog<LogEntry>;
  readonly sha256: Sha256;
  readonly planner: ExecutionContext["planner"];
  readonly newId: () => string;
  /** Milliseconds since 1970 that do not jump; see `steadyClock`. */
  readonly now: () => number;
}

/** A coordinator at work. What it tells is on the disk. */
export interface Live extends AsyncDisposable {
  readonly state: State;
  readonly head: LogHead;
  readonly liveness: Liveness;
  /** Carries a command through. Throws a `ProtocolError` where it is refused, what the log throws where it cannot be written, `unavailable` when closed. */
  do<T extends CommandType>(command: CommandOf<T>): Promise<Replies[T]>;
  /** Calls `listener` with entries as they are written; the answer ends that. */
  listen(listener: (entries: readonly LogEntry[]) => void): () => void;
  /** Carries through what was asked, and takes nothing more. Does not close the log. */
  close(): Promise<void>;
}

/** A clock that begins with the wall's time and then follows one that cannot be set, such as `performance.now`. Whole milliseconds. */
export function steadyClock(wallMs: () => number, monotonicMs: () => number): () => number {
  const offset = wallMs() - monotonicMs();
  return () => Math.round(offset + monotonicMs());
}

interface Waiting {
  readonly command: CommandOf<CommandType>;
  readonly resolve: (reply: Replies[CommandType]) => void;
  readonly reject: (error: unknown) => void;
}

/** Most commands that are written together. */
const largestBatch = 256;
/**
 * After a write the next waits as long as it took, but no longer than this: a disk takes its time for one entry as for a hundred, and while many ask, those
 * that come meanwhile are written together.
 */
const longestPauseMs = 25;
/** How often a batch is decided anew because another coordinator wrote first. */
const mostConflicts = 20;

/** Opens a coordinator on a log, whose entries are read and folded. Throws `corrupt` when they do not follow one another. */
export async function openLive({ log, sha256, planner, newId, now }: LiveOptions): Promise<Live> {
  let state = emptyState;
  let head = emptyHead;
  const liveness = openLiveness(now());
  const listeners = new Set<(entries: readonly LogEntry[]) => void>();
  const queue: Waiting[] = [];
  let working: Promise<void> | undefined;
  let closed = false;
  /** The last write: when it ended, and how long it took, by a clock that nobody sets. */
  let written = { endMs: Number.NEGATIVE_INFINITY, tookMs: 0 };

  const adopt = (next: State, entries: readonly LogEntry[]): void => {
    state = next;
    head = entries.at(-1) ?? head;
    if (entries.length > 0) for (const listener of listeners) listener(entries);
  };

  const catchUp = async (): Promise<void> => {
    for await (const entry of log.read({ after: head.sequence })) {
      if (entry.sequence !== head.sequence + 1 || entry.previousHash !== head.hash) {
        throw new SheafError(
          "corrupt",
          `Entry ${head.sequence + 1} of the log does not follow the one before it; restore the data directory from a backup.`,
        );
      }
      adopt(fold(state, entry.event), [entry]);
    }
  };

  const append = async (entries: readonly LogEntry[]): Promise<boolean> => {
    const startMs = performance.now();
    const { appended } = await log.append(head.sequence, entries);
    const endMs = performance.now();
    written = { endMs, tookMs: endMs - startMs };
    return appended;
  };

  /** Decides on commands in their order; who is refused or fails here changes nothing. */
  const decideAll = (
    batch: readonly Waiting[],
  ): { readonly next: State; readonly events: readonly Event[]; readonly answers: readonly (() => void)[] } => {
    let next = state;
    const events: Event[] = [];
    const answers = batch.map(({ command, resolve, reject }) => {
      try {
        const context = { now: now(), newId, liveness, planner };
        const result = execute(next, command, context);
        if (!result.ok) return () => reject(new ProtocolError(result.code, result.message));
        next = result.state;
        events.push(...result.events);
        // Noted at once: a later command of the batch must find a new lease alive. One that is not written after all does no harm here.
        note(liveness, result.signs, context.now);
        return () => resolve(result.reply);
      } catch (error) {
        return () => reject(error);
      }
    });
    return { next, events, answers };
  };

  const carryThrough = async (batch: readonly Waiting[]): Promise<void> => {
    for (let conflicts = 0; conflicts <= mostConflicts; conflicts++) {
      const { next, events, answers } = decideAll(batch);
      const entries = await chainEvents(head, events, sha256);
      if (entries.length === 0 || (await append(entries))) {
        adopt(next, entries);
        for (const answer of answers) answer();
        if (batch.some(({ command }) => command.type === "tick")) forgetLeases(liveness, state.leases);
        return;
      }
      await catchUp();
    }
    throw new SheafError("unavailable", `Another coordinator wrote to the log ${mostConflicts} times in a row; try again.`);
  };

  const work = async (): Promise<void> => {
    while (queue.length > 0) {
      const pauseMs = written.endMs + Math.min(written.tookMs, longestPauseMs) - performance.now();
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
      const batch = queue.splice(0, largestBatch);
      try {
        await carryThrough(batch);
      } catch (error) {
        for (const { reject } of batch) reject(error);
        // Whether the entries were written may be unclear, as when the disk failed late: the log knows.
        await catchUp().catch(() => undefined);
      }
    }
    working = undefined;
  };

  await catchUp();
  const close = async (): Promise<void> => {
    closed = true;
    await working;
  };
  return {
    get state() {
      return state;
    },
    get head() {
      return head;
    },
    liveness,
    do: <T extends CommandType>(command: CommandOf<T>) =>
      new Promise<Replies[T]>((resolve, reject) => {
        if (closed) return reject(new ProtocolError("unavailable", "The coordinator is stopping; try again in a moment."));
        // The queue forgets which type a command is of; its reply is of the same.
        queue.push({ command: command as unknown as CommandOf<CommandType>, resolve: resolve as Waiting["resolve"], reject });
        // One turn of the event loop's queue later, so that what comes together is written together.
        working ??= Promise.resolve().then(work);
      }),
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
