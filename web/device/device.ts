/** A browser as a device of a fleet: the agent of `src/agent` with this browser's key, storage, samples and engine. Runs in a worker. */
import { type AgentEvent, runAgent } from "../../src/agent/agent.ts";
import { patientBackoff } from "../../src/agent/backoff.ts";
import { measureBandwidth } from "../../src/agent/benchmark.ts";
import { minuteOfDayAt } from "../../src/agent/limits.ts";
import { join } from "../../src/agent/link.ts";
import { noData, takeOffered } from "../../src/agent/offered.ts";
import { summarizeData } from "../../src/agent/ownData.ts";
import type { AgentState } from "../../src/agent/state.ts";
import { openMemorySamples } from "../../src/data/samples.ts";
import { networkCost } from "../../src/network/shapes.ts";
import { type Client, openClient } from "../../src/protocol/client.ts";
import type { Fetch } from "../../src/protocol/exchange.ts";
import type { Invitation, InvitedRun } from "../../src/protocol/invitation.ts";
import type { MeasuredProfile, Offer } from "../../src/protocol/messages.ts";
import { defaultTiming, sleep, type Timing } from "../../src/protocol/retry.ts";
import type { OpenSession } from "../../src/runtime/session.ts";
import { openSession, useRuntimeFiles } from "../../src/runtime/session.web.ts";
import { SheafError } from "../../src/util/errors.ts";
import { type Engine, engineName, runtimePath } from "./engine.ts";
import { forgetIdentity, openIdentity } from "./identity.ts";
import type { Brought, Conduct, FromDevice, Held, Left } from "./messages.ts";
import { openOpfsState } from "./opfsState.ts";
import { forgetSamples, heldOf, keepGiven, type OwnSamples, prepareSamples, readSamples } from "./ownSamples.ts";
import { openPrivateFiles } from "./privateFiles.ts";
import { openSlots } from "./slots.ts";
import { openTraffic } from "./traffic.ts";
import { giveTurn } from "./turn.ts";

/** Longest work that a crash of the tab may cost. */
const checkpointSeconds = 10;
const timing: Timing = { ...defaultTiming, ...patientBackoff };
/** While paused, so that going on is noticed at once. */
const pauseMs = 500;
/** Longest time that a step is held back by a pause: then the lease is given back, which needs the step to end. */
const holdMs = 15_000;

/** Shortest time between two reports of progress to the page. */
const tellMs = 250;

/** Version of this release, put in by the build. */
declare const __SHEAF_VERSION__: string;
declare const __ORT_VERSION__: string;

/** How the device was started, for when the tab comes back. */
interface Start {
  readonly name: string;
  readonly engine: Engine;
  readonly privateCounts: boolean;
}

export interface StartOptions extends Start {
  readonly run: InvitedRun;
  /** Trains with data that the run offers, in place of those that this browser has. */
  readonly takesOffered: boolean;
}

/** The device in this browser. */
export interface Device {
  /** What a join token invites to. Throws `ProtocolError` for one that is refused. */
  invitation(joinToken: string): Promise<Invitation>;
  /** What was left when the tab was closed at work; undefined where nothing was. */
  left(): Promise<Left | undefined>;
  prepare(
    run: InvitedRun,
    files: readonly Brought[],
    onProgress: (done: number) => void,
  ): Promise<{ held: Held; problems: readonly string[] }>;
  /** Joins and works until the page goes away. Throws what `join` and `runAgent` throw. */
  start(options: StartOptions, joinToken: string | undefined): Promise<void>;
  conduct(conduct: Conduct): void;
  forget(): Promise<void>;
}

/** Memory that training may use: half of what the browser tells of, at most what WebAssembly addresses. */
function memoryBytes(): number {
  const { deviceMemory = 4 } = navigator as { readonly deviceMemory?: number };
  return Math.min(3 * 2 ** 30, (deviceMemory * 2 ** 30) / 2);
}

async function transferFrom(fetch: Fetch): Promise<number> {
  const { signal } = new AbortController();
  const answer = await fetch(`${location.origin}/v1/openapi.json`, { method: "GET", headers: {}, signal, redirect: "error" });
  return (await answer.arrayBuffer()).byteLength;
}

/** Name and version of the browser, as far as the coordinator need know. */
function browserName(): string {
  const match = /(Firefox|Edg|Chrome|Version)\/(\d+)/.exec(navigator.userAgent);
  return match ? `${match[1] === "Version" ? "Safari" : match[1]}/${match[2]}` : "browser";
}

/** Opens the device of this browser. Throws `unavailable` while another tab has it, and where the browser lacks what it needs. */
export async function openDevice(tell: (message: FromDevice) => void): Promise<Device> {
  useRuntimeFiles(runtimePath);
  const files = openPrivateFiles("sheaf");
  const state: AgentState = await openOpfsState(files);
  const startFile = openSlots(files, "start");
  const fetch = openTraffic((traffic) => tell({ type: "traffic", traffic }));
  let conduct: Conduct = { share: 1, pausedBecause: undefined };
  let own: OwnSamples | undefined;

  /** A session that hears what goes on around it between its steps, and waits while the person has it pause. */
  const openHeld =
    ({ provider, threads }: Engine): OpenSession =>
    async (model, options) => {
      const session = await openSession(model, { ...options, provider, threads });
      return {
        ...session,
        async run(feeds, into) {
          await giveTurn();
          const until = performance.now() + holdMs;
          while (conduct.pausedBecause !== undefined && performance.now() < until) await sleep(100);
          return session.run(feeds, into);
        },
      };
    };

  const tellWork = ({ spec, kind }: Offer): void => {
    const isTraining = spec.kind !== "statistics";
    const parameters = spec.kind === "train" ? networkCost(spec.network).parameters : 0;
    const work = {
      taskId: spec.taskId,
      kind,
      classNames: spec.taskSet.map((classId) => spec.classNames[classId] ?? ""),
      batchSize: isTraining ? spec.settings.batchSize : 0,
      epochs: isTraining ? spec.settings.epochs : 0,
      parameters,
    };
    tell({ type: "work", work });
  };

  const fetchOffered = async (client: Client, run: InvitedRun, signal: AbortSignal): Promise<OwnSamples> => {
    const onRetry = (error: unknown, delayMs: number): void =>
      tell({ type: "agent", event: { type: "retrying", what: "offered data", reason: String(error), delayMs } });
    const { dataset } = await takeOffered({ client, state, request: { runId: run.runId }, timing, signal, onRetry });
    const given = await keepGiven(files, run, dataset);
    tell({ type: "given", held: heldOf(given) });
    return given;
  };

  return {
    async invitation(joinToken) {
      const client = openClient({ url: location.origin, credentials: { type: "none" }, fetch });
      return client.call("invitation", { body: { joinToken } });
    },
    async left() {
      const bytes = await startFile.read();
      own = await readSamples(files);
      const { enrolled } = await state.readRecord();
      if (!bytes || !own || !enrolled) return undefined;
      const { name, engine } = JSON.parse(new TextDecoder().decode(bytes)) as Start;
      return { run: own.run, name, engine, held: heldOf(own) };
    },
    async prepare(run, brought, onProgress) {
      const { problems, ...prepared } = await prepareSamples(files, run, brought, onProgress);
      own = prepared;
      return { held: heldOf(prepared), problems };
    },
    async start({ run, name, engine, privateCounts, takesOffered }, joinToken) {
      own = takesOffered ? undefined : (own ?? (await readSamples(files)));
      if (!own && !takesOffered) throw new SheafError("data", `There are no samples for run "${run.name}" in this browser; bring some.`);
      const { signal } = new AbortController();
      const enrolledWith = own ? await summarizeData(own.dataset, privateCounts) : noData;
      const joined = await join({
        url: location.origin,
        ...(joinToken === undefined ? {} : { joinToken }),
        state,
        key: await openIdentity(),
        name,
        summary: enrolledWith,
        software: `sheaf/${__SHEAF_VERSION__} ${browserName()} onnxruntime-web/${__ORT_VERSION__} ${engineName(engine)}`,
        fetch,
        async profile(): Promise<MeasuredProfile> {
          return {
            macsPerSecond: engine.macsPerSecond,
            memoryBytes: memoryBytes(),
            bandwidthBitsPerSecond: await measureBandwidth(() => transferFrom(fetch)),
          };
        },
      });
      const start: Start = { name, engine, privateCounts };
      await startFile.write(new TextEncoder().encode(JSON.stringify(start)));
      tell({ type: "joined", deviceId: joined.enrolled.deviceId, isNew: joined.isNew });
      own ??= await fetchOffered(joined.client, run, signal);
      const data = own.dataset;
      let toldAt = 0;
      let toldPhase: string | undefined;
      const onEvent = async (event: AgentEvent): Promise<void> => {
        // Small networks take a hundred steps a second; a page that showed each would show nothing else.
        if (event.type === "progress" && event.progress < 1) {
          if (event.phase === toldPhase && performance.now() - toldAt < tellMs) return;
          toldAt = performance.now();
        }
        if (event.type === "progress" || event.type === "working") {
          toldPhase = event.type === "progress" ? event.phase : undefined;
        }
        tell({ type: "agent", event });
        const { work } = event.type === "working" ? await state.readRecord() : {};
        if (work) tellWork(work);
      };
      await runAgent({
        link: joined.link,
        state,
        data,
        // Samples may have changed since the device enrolled, or have come after that.
        ...(joined.isNew && !takesOffered ? {} : { summary: await summarizeData(data, privateCounts) }),
        openSamples: openMemorySamples,
        openSession: openHeld(engine),
        limits: {
          get cpuShare() {
            return conduct.share;
          },
        },
        conditions: async () => ({
          minuteOfDay: minuteOfDayAt(new Date()),
          isOnPower: undefined,
          pausedBecause: conduct.pausedBecause,
        }),
        timing,
        checkpointSeconds,
        privateCounts,
        pauseMs,
        onEvent: (event) => void onEvent(event),
        signal,
      });
    },
    conduct(next) {
      conduct = next;
    },
    async forget() {
      own = undefined;
      await startFile.clear();
      await forgetSamples(files);
      for (const name of ["agent.0", "agent.1", "objects", "checkpoints"]) await files.remove(name);
      await forgetIdentity();
    },
  };
}
