/** A real agent in virtual time: the loop of `agent/`, a state that survives its absences, a link with latency and bandwidth, training that is really done. */
import { type CoordinatorLink, runAgent } from "../agent/agent.ts";
import { patientBackoff } from "../agent/backoff.ts";
import { type AgentState, memoryState } from "../agent/state.ts";
import { runTask, type TaskResult } from "../agent/tasks.ts";
import type { LiveService } from "../coordinator/liveService.ts";
import type { Caller, CommandRoute } from "../coordinator/service.ts";
import type { ObjectStore } from "../coordinator/store.ts";
import type { Dataset } from "../data/dataset.ts";
import { openSamples } from "../data/samples.node.ts";
import { readObject } from "../fleet/branches.ts";
import type { DataSummary } from "../protocol/messages.ts";
import { defaultTiming, type Timing } from "../protocol/retry.ts";
import type { QueryOf, RequestOf, ResponseOf } from "../protocol/routes.ts";
import type { TaskSpec } from "../protocol/tasks.ts";
import { openSession } from "../runtime/session.node.ts";
import { random } from "../util/random.ts";
import type { DeviceAccount } from "./outcome.ts";
import type { Interval } from "./trace.ts";
import type { VirtualClock } from "./virtualClock.ts";
import type { VirtualDevice } from "./virtualFleet.ts";

/** What real devices share. */
export interface RealWorld {
  readonly clock: VirtualClock;
  readonly service: LiveService;
  readonly objects: ObjectStore;
  readonly latencyMs: number;
  readonly checkpointMs: number;
  readonly seed: number;
  /** Multiply-adds that a task should take. */
  readonly macsOf: (spec: TaskSpec) => number;
  readonly onProblem: (message: string) => void;
}

export interface RealDevice {
  readonly device: VirtualDevice;
  readonly account: DeviceAccount;
  isGone(): boolean;
  /** Stops the agent, and returns when it has. */
  close(): Promise<void>;
}

/** As JSON carries it. */
const carried = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

/** Opens a device that comes and goes as its trace says. */
export function openRealDevice(device: VirtualDevice, data: Dataset, summary: DataSummary, world: RealWorld): RealDevice {
  const { clock, service, objects, latencyMs, checkpointMs, seed, macsOf, onProblem } = world;
  const { name, profile, intervals } = device;
  const account: DeviceAccount = { bytesDown: 0, bytesUp: 0, macs: 0, busySeconds: 0 };
  const state: AgentState = memoryState();
  const chance = random(seed, "simulate", "agent", name);
  /** Signals of heartbeats, whose waits hold nobody up. */
  const beats = new WeakSet<AbortSignal>();
  /** Multiply-adds left of tasks that were begun, as checkpoints would have it. */
  const left = new Map<string, number>();
  let caller: Caller | undefined;
  let interval: Interval | undefined;
  let place = -1;
  let life: { readonly controller: AbortController; readonly ended: Promise<void> } | undefined;

  const bandwidth = (): number => interval?.bandwidthBitsPerSecond ?? profile.bandwidthBitsPerSecond;
  const ask = async <N extends CommandRoute>(
    route: N,
    parameter: string,
    body: RequestOf<N>,
    signal: AbortSignal,
  ): Promise<ResponseOf<N>> =>
    carried(
      await service.apply<N>({
        route,
        caller: caller as Caller,
        parameter,
        query: undefined as QueryOf<N> | undefined,
        body: carried(body),
        signal,
      }),
    );
  const move = async (bytes: number, direction: "bytesDown" | "bytesUp", signal: AbortSignal): Promise<void> => {
    const seconds = (8 * bytes) / bandwidth();
    await clock.wait(latencyMs + 1000 * seconds, signal);
    account[direction] += bytes;
    account.busySeconds += seconds;
  };
  const link: CoordinatorLink = {
    async offer({ waitMs, ...request }, signal) {
      await clock.wait(latencyMs, signal);
      const until = clock.nowMs + waitMs;
      for (;;) {
        const answer = await ask("offer", "", { ...request, waitMs: 0 }, signal);
        if (answer.offer || clock.nowMs >= until) return { ...answer, retryAfterMs: 0 };
        await clock.wait(until - clock.nowMs, signal, true);
      }
    },
    async heartbeat(leaseId, body, signal) {
      beats.add(signal);
      await clock.sleep(latencyMs, signal);
      return ask("heartbeat", leaseId, body, signal);
    },
    async complete(leaseId, body, signal) {
      await clock.wait(latencyMs, signal);
      return ask("complete", leaseId, body, signal);
    },
    async fail(leaseId, body, signal) {
      await clock.wait(latencyMs, signal);
      return ask("fail", leaseId, body, signal);
    },
    async download(object, sink, signal) {
      await move(object.bytes, "bytesDown", signal);
      await sink.append(await readObject(objects, { role: "input", ...object }));
    },
    async upload(bytes, signal) {
      await move(bytes.length, "bytesUp", signal);
      await objects.put(bytes);
    },
  };

  /** Lets as much time pass as the task takes this device, then does it in none. */
  const doTask = async <K extends TaskSpec["kind"]>(
    spec: Extract<TaskSpec, { readonly kind: K }>,
    tools: Parameters<typeof runTask>[1],
  ): Promise<TaskResult> => {
    const total = macsOf(spec);
    const beganMs = clock.nowMs;
    let todo = left.get(spec.taskId) ?? total;
    while (todo > 0) {
      const rate = (profile.macsPerSecond * device.speed * (interval?.speed ?? 1)) / 1000;
      const fromMs = clock.nowMs;
      const pieceMs = Math.min(Math.ceil(todo / rate), (interval?.toMs ?? Number.POSITIVE_INFINITY) - fromMs);
      const stopped = await clock.wait(pieceMs, tools.signal).then(
        () => undefined,
        (error: unknown) => ({ error }),
      );
      const done = Math.min(todo, rate * (clock.nowMs - fromMs));
      account.macs += done;
      account.busySeconds += (clock.nowMs - fromMs) / 1000;
      todo -= done;
      if (stopped) {
        // Cut off: what came after the last checkpoint is lost.
        left.set(spec.taskId, Math.min(total, todo + rate * ((clock.nowMs - beganMs) % checkpointMs)));
        throw stopped.error;
      }
    }
    left.set(spec.taskId, 0);
    const result = await runTask<K>(spec, tools);
    return { ...result, measured: { ...result.measured, seconds: (clock.nowMs - beganMs) / 1000, macs: total } };
  };

  const timing: Timing = {
    ...defaultTiming,
    ...patientBackoff,
    sleep: (ms, signal) => (signal && beats.has(signal) ? clock.sleep(ms, signal) : clock.wait(ms, signal)),
    random: chance.uniform,
  };
  const enrol = async (): Promise<void> => {
    const { macsPerSecond, memoryBytes, bandwidthBitsPerSecond, watts } = profile;
    const measured = { macsPerSecond, memoryBytes, bandwidthBitsPerSecond, ...(watts === undefined ? {} : { watts }) };
    const { deviceId } = await service.enrol({
      publicKey: `key of ${name}`,
      name,
      profile: measured,
      data: summary,
      software: "sheaf simulate",
    });
    caller = { role: "device", subject: deviceId, tokenId: name, expiresAtMs: Number.POSITIVE_INFINITY };
  };
  const live = async (signal: AbortSignal): Promise<void> => {
    if (!caller) await enrol();
    await runAgent({
      link,
      state,
      data,
      openSamples,
      openSession,
      doTask,
      limits: { onlyOnPower: true },
      conditions: async () => ({ minuteOfDay: 0, isOnPower: interval?.onPower ?? true }),
      timing,
      checkpointSeconds: checkpointMs / 1000,
      privateCounts: false,
      onEvent: (event) => {
        if (event.type === "problem") onProblem(`${name}: ${event.message}`);
      },
      signal,
    });
  };
  const change = (): void => {
    const next = intervals[place + 1];
    const begins = next !== undefined && next.fromMs <= clock.nowMs;
    interval = begins ? next : undefined;
    if (begins) {
      place++;
      if (next.toMs < Number.POSITIVE_INFINITY) clock.at(next.toMs, change);
      if (!life) {
        const controller = new AbortController();
        const ended = clock
          .holding(() => live(controller.signal))
          .catch((error: unknown) => onProblem(`${name} stopped: ${error instanceof Error ? error.message : String(error)}`));
        life = { controller, ended };
      }
    } else {
      life?.controller.abort();
      life = undefined;
      if (next) clock.at(next.fromMs, change);
    }
  };
  const [first] = intervals;
  if (first) clock.at(first.fromMs, change);
  return {
    device,
    account,
    isGone: () => interval === undefined && place + 1 >= intervals.length,
    async close() {
      const { controller, ended } = life ?? {};
      life = undefined;
      controller?.abort();
      await ended;
    },
  };
}
