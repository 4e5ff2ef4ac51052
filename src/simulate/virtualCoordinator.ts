/** The coordinator's state machine in virtual time: the rules of `coordinator/` on a log in memory, without sockets, with a meter around each command. */
import { chainEvents, emptyHead, type LogEntry, type LogHead } from "../coordinator/chain.ts";
import type { CommandOf, CommandType, Replies } from "../coordinator/commands.ts";
import { judgementOf } from "../coordinator/decide.ts";
import type { Event } from "../coordinator/events.ts";
import { execute, outstanding } from "../coordinator/execute.ts";
import { forgetLeases, type Liveness, note, openLiveness } from "../coordinator/liveness.ts";
import { wokenBy } from "../coordinator/liveService.ts";
import { planRun } from "../coordinator/planning.ts";
import { emptyState, type State } from "../coordinator/state.ts";
import { modelRole } from "../coordinator/views.ts";
import type { ObjectReference } from "../protocol/messages.ts";
import { sha256Hex } from "../util/hash.node.ts";
import { type CostTable, openMeter } from "./meter.ts";

/** A command's answer; or what it was refused for. */
export type Outcome<Reply> = { readonly ok: true; readonly reply: Reply } | { readonly ok: false; readonly code: string };

export interface VirtualCoordinator {
  readonly state: State;
  readonly liveness: Liveness;
  readonly head: LogHead;
  /** The devices that may find work now if they wait for it, of what happened since this was last asked. */
  takeWoken(): "all" | ReadonlySet<string>;
  do<T extends CommandType>(command: CommandOf<T>, nowMs: number): Outcome<Replies[T]>;
  /** As `complete` of the server: a result that is known not to count is answered before it is judged. */
  complete(command: Omit<CommandOf<"complete">, "type" | "verdict">, nowMs: number): void;
  /** Writes down what has happened since the last time. */
  flush(): Promise<void>;
  /** Processor time by command (`offer`, ...) and by phase (`phase train`, ...). */
  costs(): CostTable;
}

export interface VirtualCoordinatorOptions {
  readonly startMs: number;
  readonly onEvents: (events: readonly Event[]) => void;
  /** Where entries of the log go; chained, counted and dropped by default. */
  readonly onEntries?: (entries: readonly LogEntry[]) => void;
}

/** Events that are hashed together; a coordinator on a disk writes as many commands at once. */
const largestBatch = 256;

/** A model that nobody made, named by what it would be made of. */
function placeholder(state: State, runId: string): readonly ObjectReference[] {
  const tasks = [...(state.runs.get(runId)?.tasks.values() ?? [])].flatMap(({ taskId, result }) => (result ? [taskId] : []));
  return [{ role: modelRole, sha256: sha256Hex(tasks.sort().join("\n")), bytes: 0 }];
}

/** Opens a coordinator that nothing has happened to. */
export function openVirtualCoordinator({ startMs, onEvents, onEntries }: VirtualCoordinatorOptions): VirtualCoordinator {
  const meter = openMeter();
  const liveness = openLiveness(startMs);
  let state = emptyState;
  let head = emptyHead;
  let pending: Event[] = [];
  let woken: "all" | Set<string> = new Set();
  let ids = 0;

  const phaseOf = (): string => {
    const [run] = state.runs.values();
    return `phase ${run?.phase ?? "gathering"}`;
  };
  const perform = <T extends CommandType>(command: CommandOf<T>, nowMs: number): Outcome<Replies[T]> => {
    const newId = (): string => `${command.type === "createRun" ? "run" : command.type === "enrol" ? "device" : "lease"}-${++ids}`;
    const phase = phaseOf();
    const stop = meter.start();
    const result = execute(state, command, { now: nowMs, newId, liveness, planner: planRun });
    if (result.ok) {
      state = result.state;
      note(liveness, result.signs, nowMs);
      if (command.type === "tick") forgetLeases(liveness, state.leases);
    }
    // Whatever command makes the plan, it is the planner's cost.
    const planned = result.ok && result.events.some(({ type }) => type.startsWith("plan."));
    stop(planned ? "plan" : command.type, phase);
    if (!result.ok) return { ok: false, code: result.code };
    if (result.events.length > 0) {
      for (const event of result.events) {
        pending.push(event);
        const devices = wokenBy(state, event);
        if (devices === "all") woken = "all";
        else if (woken !== "all") for (const deviceId of devices) woken.add(deviceId);
      }
      onEvents(result.events);
    }
    return { ok: true, reply: result.reply };
  };
  const assemble = (nowMs: number): void => {
    for (const work of outstanding(state)) {
      const outputs = placeholder(state, work.runId);
      if (work.type === "assemble") perform({ type: "runAssembled", runId: work.runId, outputs }, nowMs);
    }
  };

  return {
    get state() {
      return state;
    },
    get head() {
      return head;
    },
    liveness,
    takeWoken() {
      const taken = woken;
      if (taken === "all" || taken.size > 0) woken = new Set();
      return taken;
    },
    do(command, nowMs) {
      const before = pending.length;
      const outcome = perform(command, nowMs);
      if (pending.length > before) assemble(nowMs);
      return outcome;
    },
    complete(command, nowMs) {
      const judgement = judgementOf(state, command);
      if ("ok" in judgement || judgement.type === "answered") return;
      perform({ type: "complete", ...command, verdict: { accepted: true } }, nowMs);
      assemble(nowMs);
    },
    async flush() {
      const events = pending;
      pending = [];
      for (let i = 0; i < events.length; i += largestBatch) {
        const batch = events.slice(i, i + largestBatch);
        const stop = meter.start();
        const entries = await chainEvents(head, batch, sha256Hex);
        stop("log");
        head = entries.at(-1) ?? head;
        onEntries?.(entries);
      }
    },
    costs: meter.table,
  };
}
