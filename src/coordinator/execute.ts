/**
 * A command carried through: what it leads to, what follows from that by itself, and the state afterwards. Still pure: the caller appends the events to the
 * log, all or none, and only then adopts the state, notes the signs of life and sends the reply. An append that fails leaves everything as it was.
 */
import type { CommandOf, CommandType, DecisionContext, Refusal, Replies } from "./commands.ts";
import { decide } from "./decide.ts";
import { type Event, type Fact, runOf } from "./events.ts";
import { fold } from "./fold.ts";
import type { Signs } from "./liveness.ts";
import { nextFacts, type Planner } from "./progress.ts";
import { currentRuns, type State } from "./state.ts";

export interface ExecutionContext extends DecisionContext {
  readonly planner: Planner;
}

export type Execution<Reply> =
  | { readonly ok: true; readonly reply: Reply; readonly events: readonly Event[]; readonly state: State; readonly signs: Signs }
  | Refusal;

/**
 * Decides on a command and follows it up.
 * @example
 * const result = execute(state, { type: "tick" }, context);
 * if (result.ok) { await log.append(...); state = result.state; note(liveness, result.signs, now); }
 */
export function execute<T extends CommandType>(state: State, command: CommandOf<T>, context: ExecutionContext): Execution<Replies[T]> {
  const { now, planner } = context;
  const decision = decide(state, command, context);
  if (!decision.ok) return decision;
  const events: Event[] = [];
  let next = state;
  const take = (facts: readonly Fact[]): void => {
    for (const fact of facts) {
      const event: Event = { ...fact, at: now };
      events.push(event);
      next = fold(next, event);
    }
  };
  take(decision.facts);
  const touched = events.map(runOf);
  // A device that comes or goes may matter to any run, and so does time.
  const runIds = command.type === "tick" || touched.includes(undefined) ? next.currentRuns : [...new Set(touched as string[])];
  for (const runId of runIds) {
    for (;;) {
      const run = next.runs.get(runId);
      const facts = run ? nextFacts(next, run, now, planner) : [];
      if (facts.length === 0) break;
      take(facts);
    }
  }
  return { ok: true, reply: decision.reply, events, state: next, signs: decision.signs };
}

/** Work of the coordinator itself that is asked for and not done; after a restart it is simply done again. */
export type Outstanding =
  | { readonly type: "assemble"; readonly runId: string }
  | { readonly type: "harvest"; readonly runId: string; readonly harvestId: string; readonly slots: readonly string[] };

/** What the rim is to do: answer with `runAssembled` or `assemblyFailed`, `harvestMade` or `harvestFailed`. */
export function outstanding(state: State): readonly Outstanding[] {
  return currentRuns(state).flatMap((run): Outstanding[] => {
    const { runId } = run;
    const harvests = run.harvests.filter(({ outputs, reason }) => outputs === undefined && reason === undefined);
    return [
      ...harvests.map(({ harvestId, slots }) => ({ type: "harvest", runId, harvestId, slots }) as const),
      ...(run.phase === "assemble" && !run.paused ? [{ type: "assemble", runId } as const] : []),
    ];
  });
}
