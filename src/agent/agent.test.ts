import { beforeAll, describe, expect, it } from "vitest";
import { toyDataset } from "../../test/fixtures/toyJob.ts";
import { encodeBranches } from "../protocol/branchList.ts";
import { ProtocolError } from "../protocol/errors.ts";
import { ConnectionFailure } from "../protocol/retry.ts";
import type { TaskSpec } from "../protocol/tasks.ts";
import { SheafError } from "../util/errors.ts";
import { sha256Hex } from "../util/hash.node.ts";
import { type AgentEvent, type AgentOptions, runAgent } from "./agent.ts";
import {
  agentOptions,
  branchOf,
  cuts,
  FakeCoordinator,
  liveAgent,
  ofType,
  settleSpec,
  statisticsSpec,
  trainSpec,
} from "./fakeCoordinator.fixture.ts";
import { type AgentState, memoryState } from "./state.ts";
import { runTask } from "./tasks.ts";

const data = toyDataset(48, 3);
const spec = trainSpec(data);
let all: readonly TaskSpec[];
let parameters: Uint8Array<ArrayBuffer>;
let list: Uint8Array<ArrayBuffer>;
/** Results of a life in which nothing goes wrong. */
let reference: readonly string[];

const newCoordinator = (specs: readonly TaskSpec[] = all): FakeCoordinator => new FakeCoordinator(specs, [parameters, list]);

const life = (coordinator: FakeCoordinator, changes: Partial<AgentOptions> = {}): Promise<readonly AgentEvent[]> =>
  liveAgent(coordinator, data, changes);

beforeAll(async () => {
  const first = new FakeCoordinator([spec]);
  await life(first);
  parameters = first.outputsOf(spec.taskId).get("parameters") as Uint8Array<ArrayBuffer>;
  const branch = branchOf(spec, parameters, [10, 10, 5]);
  list = encodeBranches([branch, { ...branch, device: "d2" }]);
  const name = sha256Hex(list);
  all = [spec, statisticsSpec(name), settleSpec(name)];
  const undisturbed = newCoordinator();
  await life(undisturbed);
  reference = undisturbed.results;
});

describe("an agent left in peace", () => {
  it("trains, sums and settles, and says so", async () => {
    const coordinator = newCoordinator();
    const events = await life(coordinator);
    expect(coordinator.results).toEqual(reference);
    expect(reference.map((name) => name.split(" ")[0])).toEqual(["parameters", "statistics", "heldOut", "parameters"]);
    expect(new Set(reference.map((name) => name.split(" ")[1])).size).toBe(4);
    expect(ofType(events, "handedIn").map(({ taskId, accepted }) => [taskId, accepted])).toEqual(all.map(({ taskId }) => [taskId, true]));
    expect(new Set(coordinator.beats.map(({ phase }) => phase))).toContain("training");
    expect(coordinator.tasks[0]?.completion?.use).toMatchObject({ ownSamples: 32, backgroundSamples: 8, classCounts: [16, 16, 8] });
    expect(coordinator.tasks[0]?.completion?.measured.macs).toBeGreaterThan(1e5);
  });

  it("leaves nothing behind", async () => {
    const state = memoryState();
    await life(newCoordinator(), { state });
    expect(await state.readRecord()).toEqual({});
    for (const { taskId } of all) expect(await state.checkpoints(`run1.${taskId}`).load()).toBeUndefined();
    for (const name of reference) expect(await state.readObject(name.split(" ")[1] as string)).toBeUndefined();
  });

  it("keeps class counts to itself when told to", async () => {
    const coordinator = newCoordinator([spec]);
    await life(coordinator, { privateCounts: true });
    expect(coordinator.tasks[0]?.completion?.use).toEqual({ ownSamples: 32, backgroundSamples: 8 });
    expect(coordinator.results).toEqual(reference.slice(0, 1));
  });
});

describe("an agent on a bad line", () => {
  it.each([1, 2, 3, 4])("gives the same bytes when a third of all calls or answers are lost (seed %i)", async (seed) => {
    const coordinator = newCoordinator();
    coordinator.fault = cuts(seed, 0.33);
    const events = await life(coordinator);
    expect(coordinator.results).toEqual(reference);
    expect(ofType(events, "retrying").length).toBeGreaterThan(0);
  });

  it("goes on training while the coordinator is away", async () => {
    const coordinator = newCoordinator([spec]);
    const options = agentOptions(coordinator, data);
    let isAway = false;
    coordinator.fault = (call, when) => {
      if (call === "offer" && when === "after") isAway = true;
      else if (ofType(options.events, "made").length > 0) isAway = false;
      if (isAway && call !== "offer") cuts(0, 1)(call, when, 0);
    };
    await runAgent(options);
    expect(coordinator.results).toEqual(reference.slice(0, 1));
  });

  it("tells of bytes that stay wrong, gives the lease back and tries again", async () => {
    const coordinator = newCoordinator(all.slice(1));
    coordinator.fault = (call, when, count) => {
      if (call === "download" && when === "before" && count === 1)
        throw new SheafError("corrupt", "Object x came 3 times with another hash.");
    };
    await life(coordinator);
    expect(coordinator.failures).toEqual([expect.objectContaining({ code: "corrupt", retry: true })]);
    expect(coordinator.results).toEqual(reference.slice(1));
  });
});

describe("an agent whose objects", () => {
  const refusing = (code: "notFound" | "forbidden" | "conflict", call: "download" | "upload"): FakeCoordinator => {
    const coordinator = newCoordinator(call === "upload" ? [spec] : all.slice(1, 2));
    coordinator.fault = (called, when, count) => {
      if (called === call && when === "before" && count === 1) throw new ProtocolError(code, `${code}.`);
    };
    return coordinator;
  };

  it.each(["notFound", "forbidden"] as const)("are refused (%s) gives the lease back instead of thinking it lost", async (code) => {
    const coordinator = refusing(code, "download");
    const events = await life(coordinator);
    expect(coordinator.failures).toEqual([expect.objectContaining({ code: "unavailable", retry: true })]);
    expect(ofType(events, "dropped")).toEqual([]);
    expect(coordinator.results).toEqual(reference.slice(1, 3));
  });

  it("have gone from the coordinator before they were handed in uploads them again, without doing the work again", async () => {
    const coordinator = newCoordinator([spec]);
    coordinator.fault = (called, when, count) => {
      if (called === "complete" && when === "before" && count === 1) throw new ProtocolError("notFound", "notFound.");
    };
    const events = await life(coordinator);
    expect([ofType(events, "made").length, ofType(events, "working").length]).toEqual([1, 2]);
    expect(coordinator.results).toEqual(reference.slice(0, 1));
  });

  it("are being uploaded by a copy of it tries again", async () => {
    const coordinator = refusing("conflict", "upload");
    const events = await life(coordinator);
    expect(ofType(events, "retrying")).toEqual([expect.objectContaining({ what: "upload" })]);
    expect(coordinator.results).toEqual(reference.slice(0, 1));
  });
});

describe("two agents", () => {
  it("with one identity and a lease between them hand in one result", async () => {
    const coordinator = newCoordinator();
    const both = [agentOptions(coordinator, data), agentOptions(coordinator, data)];
    coordinator.onDone = () => {
      for (const { stop } of both) stop();
    };
    await Promise.all(both.map(runAgent));
    // Both had a part in it.
    for (const { events } of both) expect(ofType(events, "working").length).toBeGreaterThan(0);
    expect(coordinator.results).toEqual(reference);
  });
});

describe("an agent whose lease", () => {
  it.each([2, 5, 9])("is lost at heartbeat %i takes the work up again under the next one", async (at) => {
    const coordinator = newCoordinator();
    coordinator.onBeat = (leaseId, count) => {
      if (count === at) coordinator.lapse(leaseId);
      return { cancel: false };
    };
    const events = await life(coordinator);
    expect(coordinator.results).toEqual(reference);
    expect(ofType(events, "dropped")).toEqual([expect.objectContaining({ reason: "lost" })]);
    // The steps before the loss were not done twice.
    const trained = ofType(events, "progress").filter(({ phase }) => phase === "training");
    expect(trained.length).toBeLessThanOrEqual(10 + 4 + 1);
  });

  it("is lost after the work is done hands the same result in under the next one, without doing it again", async () => {
    const coordinator = newCoordinator([spec]);
    coordinator.fault = (call, when, count) => {
      if (call === "complete" && when === "before" && count === 1) for (const id of coordinator.leases.keys()) coordinator.lapse(id);
    };
    const events = await life(coordinator);
    expect(coordinator.offers).toBe(2);
    expect(ofType(events, "made")).toHaveLength(1);
    expect(coordinator.results).toEqual(reference.slice(0, 1));
  });

  it("is cancelled stops and forgets, and goes on with what is next", async () => {
    const coordinator = newCoordinator();
    const state = memoryState();
    coordinator.onBeat = (leaseId, count) => {
      const cancel = count === 3;
      const task = coordinator.leases.get(leaseId);
      if (cancel && task) task.failure = { code: "cancelled", reason: "by test", retry: false };
      return { cancel };
    };
    const events = await life(coordinator, { state });
    expect(ofType(events, "dropped")).toEqual([{ type: "dropped", taskId: "train-d1", reason: "cancelled" }]);
    expect(coordinator.results).toEqual(["none", ...reference.slice(1)]);
    expect(await state.checkpoints("run1.train-d1").load()).toBeUndefined();
  });
});

describe("an agent whose result was accepted, but the answer lost", () => {
  it("learns that it was, whatever heartbeats say of the lease", async () => {
    const coordinator = newCoordinator([spec]);
    let isOver = false;
    let isTold = false;
    coordinator.fault = (call, when, count) => {
      if (call !== "complete" || isTold) return;
      if (count === 1 && when === "before") return;
      isOver = true;
      throw new ConnectionFailure("The coordinator was killed.");
    };
    coordinator.onBeat = () => {
      isTold = isOver;
      return { cancel: isOver };
    };
    const events = await life(coordinator);
    expect(isTold).toBe(true);
    expect(ofType(events, "handedIn")).toEqual([{ type: "handedIn", taskId: "train-d1", accepted: true }]);
    expect(ofType(events, "dropped")).toEqual([]);
    expect(coordinator.results).toEqual(reference.slice(0, 1));
  });
});

describe("an agent that fails at a task", () => {
  const name = (): string => sha256Hex(list);
  /** Fetches what it needs and fails; the next time it does what it is asked. */
  const failOnce = (onFailure: () => void): typeof runTask => {
    let tries = 0;
    return async (task, tools) => {
      if (++tries > 1) return runTask(task, tools);
      await tools.fetchObject(name(), list.length);
      onFailure();
      throw new SheafError("unavailable", "There is no such object for this caller.");
    };
  };

  it("gives it back where it is still wanted, and keeps what it has for the next time", async () => {
    const coordinator = newCoordinator([statisticsSpec(name())]);
    const state = memoryState();
    let kept: Uint8Array | undefined;
    const doTask = failOnce(() => undefined);
    const events = await life(coordinator, {
      state,
      async doTask(task, tools) {
        kept = await state.readObject(name());
        return doTask(task, tools);
      },
    });
    expect(coordinator.failures).toEqual([expect.objectContaining({ code: "unavailable", retry: true })]);
    expect(kept).toEqual(list);
    expect(ofType(events, "handedIn")).toHaveLength(1);
  });

  it("that another copy of it has done meanwhile has not failed, and keeps nothing", async () => {
    const coordinator = newCoordinator([statisticsSpec(name())]);
    const state = memoryState();
    let isOver = false;
    coordinator.onBeat = () => ({ cancel: isOver });
    const doTask = failOnce(() => {
      isOver = true;
      for (const task of coordinator.tasks) task.failure = { code: "done", reason: "by the copy", retry: false };
    });
    const events = await life(coordinator, { state, doTask });
    expect(coordinator.failures).toEqual([]);
    expect(ofType(events, "dropped")).toEqual([{ type: "dropped", taskId: "statistics-d1", reason: "cancelled" }]);
    expect(await state.readObject(name())).toBeUndefined();
  });
});

describe("an agent on a full disk", () => {
  const full = (): Promise<never> => Promise.reject(new SheafError("storage", "Cannot write: the disk is full."));

  it("works in memory and gives the same bytes", async () => {
    const state = memoryState();
    const crammed: AgentState = {
      ...state,
      writeRecord: full,
      writeObject: full,
      openSink: async (name) => ({ ...(await state.openSink(name)), append: full, keep: full }),
      checkpoints: (task) => ({ ...state.checkpoints(task), save: full }),
    };
    const coordinator = newCoordinator();
    const events = await life(coordinator, { state: crammed });
    expect(coordinator.results).toEqual(reference);
    expect(ofType(events, "problem").some(({ message }) => /No checkpoint/.test(message))).toBe(true);
  });
});

describe("an agent that is killed", () => {
  /** A link and a state that go dead at call number `at`: no call returns any more, as if the process were gone. */
  function mortal(
    coordinator: FakeCoordinator,
    state: AgentState,
    at: number,
  ): { options: Partial<AgentOptions>; dead: Promise<void>; calls: () => number } {
    let calls = 0;
    let die = (): void => undefined;
    const dead = new Promise<void>((resolve) => {
      die = resolve;
    });
    const never = new Promise<never>(() => undefined);
    const wrap = <T extends object>(target: T): T =>
      new Proxy(target, {
        get(from, name) {
          const value: unknown = Reflect.get(from, name);
          if (typeof value !== "function") return value;
          return (...args: unknown[]): unknown => {
            if (++calls > at) {
              die();
              return never;
            }
            const result: unknown = Reflect.apply(value, from, args);
            if (name === "checkpoints") return wrap(result as object);
            // A kill may also fall between the effect of a call and its answer.
            return result instanceof Promise ? result.then((answer: unknown) => (calls > at ? never : answer)) : result;
          };
        },
      });
    return { options: { state: wrap(state), link: wrap(coordinator.link()) }, dead, calls: () => calls };
  }

  it("at any moment, again and again, gives the same bytes", async () => {
    const state = memoryState();
    const coordinator = newCoordinator();
    let kills = 0;
    for (let at = 6; ; at += 3) {
      const { options, dead } = mortal(coordinator, state, at);
      const made = agentOptions(coordinator, data, options);
      const ended = runAgent(made).then(() => true);
      if (await Promise.race([ended, dead.then(() => false)])) break;
      made.stop();
      kills++;
      if (kills > 60) throw new Error("does not get on");
    }
    expect(kills).toBeGreaterThan(3);
    expect(coordinator.results).toEqual(reference);
  });

  it("between its last checkpoint and the upload does no step again", async () => {
    const state = memoryState();
    const coordinator = newCoordinator([spec]);
    const made = agentOptions(coordinator, data, { state });
    const uploading = new Promise<void>((resolve) => {
      coordinator.fault = (call) => {
        if (call === "upload") resolve();
      };
    });
    const upload = (): Promise<never> => {
      coordinator.fault("upload", "before", 1);
      return new Promise(() => undefined);
    };
    const link = { ...coordinator.link(), upload };
    void runAgent({ ...made, link });
    await uploading;
    made.stop();
    coordinator.fault = () => undefined;
    const events = await life(coordinator, { state });
    expect(ofType(events, "working")).toEqual([expect.objectContaining({ resumed: true })]);
    expect(ofType(events, "progress").filter(({ phase }) => phase === "training")).toEqual([]);
    expect(coordinator.results).toEqual(reference.slice(0, 1));
  });

  it("begins again from a checkpoint that is damaged", async () => {
    const state = memoryState();
    const checkpoints = state.checkpoints("run1.train-d1");
    let isDamaged = true;
    const damaged: AgentState = {
      ...state,
      checkpoints: () => ({
        ...checkpoints,
        load: () => (isDamaged ? Promise.reject(new SheafError("corrupt", "Checkpoint x cannot be used.")) : checkpoints.load()),
        clear: async () => {
          isDamaged = false;
        },
      }),
    };
    const coordinator = newCoordinator([spec]);
    const events = await life(coordinator, { state: damaged });
    expect(ofType(events, "problem")[0]?.message).toMatch(/begins again/);
    expect(coordinator.results).toEqual(reference.slice(0, 1));
  });
});
