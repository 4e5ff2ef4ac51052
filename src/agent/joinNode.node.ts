/** A Node process as a device of a fleet: state in a folder, training on the processor, limits by the clock and the mains. */
import { hostname } from "node:os";
import type { Dataset } from "../data/dataset.ts";
import { openSamples } from "../data/samples.node.ts";
import type { Fetch } from "../protocol/exchange.ts";
import type { MeasuredProfile } from "../protocol/messages.ts";
import { defaultTiming, type Timing } from "../protocol/retry.ts";
import type { TaskKind } from "../protocol/tasks.ts";
import { onnxruntimeVersion, sheafVersion } from "../run/machine.ts";
import { openSession } from "../runtime/session.node.ts";
import { canonicalJson } from "../util/json.ts";
import { type AgentEvent, runAgent } from "./agent.ts";
import { openAgentState } from "./agentState.node.ts";
import { patientBackoff } from "./backoff.ts";
import { measureProfile } from "./benchmark.node.ts";
import { type Limits, minuteOfDayAt } from "./limits.ts";
import { join } from "./link.ts";
import { noData, takeOffered } from "./offered.ts";
import { summarizeData, whyUnwanted } from "./ownData.ts";
import { isOnPower } from "./power.node.ts";
import type { EnrolledWith } from "./state.ts";

/** What a joining process tells beside what its agent does. */
export type JoinEvent =
  | AgentEvent
  | { readonly type: "measured"; readonly profile: MeasuredProfile }
  | { readonly type: "given"; readonly runId: string; readonly samples: number; readonly bytes: number }
  | { readonly type: "joined"; readonly enrolled: EnrolledWith; readonly isNew: boolean };

export interface JoinNodeOptions {
  readonly url: string;
  /** Needed the first time. */
  readonly joinToken?: string;
  /** Folder of the device's state; one agent has it at a time. */
  readonly stateFolder: string;
  /** The device's own data, which stay here; or `offered` for a part of those that a run offers. */
  readonly data: Dataset | "offered";
  /** The machine's name by default. */
  readonly name?: string;
  readonly limits?: Limits;
  /** Tells the coordinator which classes there are and not how many samples. */
  readonly privateCounts?: boolean;
  readonly preferredClasses?: readonly string[];
  /** Longest time between two checkpoints; 30 by default. */
  readonly checkpointSeconds?: number;
  readonly kinds?: readonly TaskKind[];
  /** For a coordinator whose certificate the system does not know. */
  readonly fetch?: Fetch;
  readonly timing?: Partial<Timing>;
  /** What the machine can do, where that is stated and not to be measured. */
  readonly profile?: () => Promise<MeasuredProfile>;
  /** Measures the machine when it first enrols; `measureProfile` by default. */
  readonly measure?: typeof measureProfile;
  readonly onEvent: (event: JoinEvent) => void;
  /** Stops the device; what it was doing is kept. */
  readonly signal: AbortSignal;
}

/** Bytes of an answer that anybody may ask for. */
async function transferFrom(url: string, fetch: Fetch, signal: AbortSignal): Promise<number> {
  const address = `${url.replace(/\/+$/, "")}/v1/openapi.json`;
  const answer = await fetch(address, { method: "GET", headers: {}, signal, redirect: "error" });
  return (await answer.arrayBuffer()).byteLength;
}

/**
 * Joins a fleet and works for it until the signal is aborted. A restart with the same folder goes on where this one stopped.
 * Throws `unavailable` while another agent has the folder, and what `join` and `runAgent` throw.
 */
export async function joinFleet(options: JoinNodeOptions): Promise<void> {
  const { url, joinToken, data, limits = {}, privateCounts = false, preferredClasses, onEvent, signal, kinds } = options;
  const { measure = measureProfile, fetch = globalThis.fetch as Fetch, timing } = options;
  const state = await openAgentState(options.stateFolder);
  try {
    const own = data === "offered" ? noData : await summarizeData(data, privateCounts);
    const joined = await join({
      url,
      state,
      name: options.name ?? hostname(),
      summary: own,
      software: `sheaf/${sheafVersion} node/${process.versions.node} onnxruntime/${onnxruntimeVersion} ${process.platform}-${process.arch}`,
      fetch,
      signal,
      ...(joinToken === undefined ? {} : { joinToken }),
      ...(preferredClasses ? { preferredClasses } : {}),
      ...(timing ? { timing } : {}),
      async profile() {
        const { cpuShare, memoryBytes } = limits;
        const given = { ...(cpuShare === undefined ? {} : { cpuShare }), ...(memoryBytes === undefined ? {} : { memoryBytes }) };
        // A measurement is never twice the same, and the plan follows from it: it is made once.
        const record = await state.readRecord();
        if (!options.profile && record.measured?.limits === canonicalJson(given)) return record.measured.profile;
        const profile = options.profile
          ? await options.profile()
          : await measure({ ...given, transfer: () => transferFrom(url, fetch, signal) });
        if (!options.profile) await state.writeRecord({ ...record, measured: { limits: canonicalJson(given), profile } });
        onEvent({ type: "measured", profile });
        return profile;
      },
    });
    onEvent({ type: "joined", enrolled: joined.enrolled, isNew: joined.isNew });
    if (data !== "offered") {
      const message = whyUnwanted(joined.invited, own);
      if (message !== undefined) onEvent({ type: "problem", message });
    }
    const patience: Timing = { ...defaultTiming, ...patientBackoff, ...timing };
    const given =
      data === "offered"
        ? await takeOffered({
            client: joined.client,
            state,
            request: { runId: null },
            timing: patience,
            signal,
            onRetry: (error, delayMs) => onEvent({ type: "retrying", what: "offered data", reason: String(error), delayMs }),
          })
        : undefined;
    if (given) onEvent({ type: "given", runId: given.shard.runId, samples: given.dataset.labels.length, bytes: given.shard.object.bytes });
    const used = given?.dataset ?? (data as Dataset);
    await runAgent({
      link: joined.link,
      state,
      data: used,
      ...(given ? { kept: new Set([given.shard.object.sha256]) } : {}),
      // Data may have changed since the device enrolled, or have come after that.
      ...(joined.isNew && !given ? {} : { summary: given ? await summarizeData(used, privateCounts) : own }),
      openSamples,
      openSession,
      limits,
      conditions: async () => ({ minuteOfDay: minuteOfDayAt(new Date()), isOnPower: limits.onlyOnPower ? await isOnPower() : undefined }),
      timing: patience,
      checkpointSeconds: options.checkpointSeconds ?? 30,
      privateCounts,
      ...(kinds ? { kinds } : {}),
      onEvent,
      signal,
    });
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await state[Symbol.asyncDispose]();
  }
}
