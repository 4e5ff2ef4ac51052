/** When an agent may not work, or no longer: pauses, its share of the processor, and being told to stop. */
import { beforeAll, describe, expect, it } from "vitest";
import { toyDataset } from "../../test/fixtures/toyJob.ts";
import { ProtocolError } from "../protocol/errors.ts";
import type { TaskSpec } from "../protocol/tasks.ts";
import { type AgentEvent, type AgentOptions, runAgent } from "./agent.ts";
import { agentOptions, FakeCoordinator, liveAgent, ofType, trainSpec } from "./fakeCoordinator.fixture.ts";
import { memoryState } from "./state.ts";

const data = toyDataset(48, 3);
const spec = trainSpec(data);
/** The result of a life in which nothing goes wrong. */
let reference: readonly string[];

const newCoordinator = (specs: readonly TaskSpec[]): FakeCoordinator => new FakeCoordinator(specs);
const life = (coordinator: FakeCoordinator, changes: Partial<AgentOptions> = {}): Promise<readonly AgentEvent[]> =>
  liveAgent(coordinator, data, changes);

beforeAll(async () => {
  const undisturbed = newCoordinator([spec]);
  await life(undisturbed);
  reference = undisturbed.results;
});

describe("an agent that may not work", () => {
  it("gives its lease back, waits, and goes on from its checkpoint", async () => {
    const coordinator = newCoordinator([spec]);
    let looks = 0;
    const conditions = async () => ({ minuteOfDay: 0, isOnPower: ++looks < 5 || looks > 12 });
    const events = await life(coordinator, { limits: { onlyOnPower: true }, conditions });
    expect(coordinator.failures).toEqual([{ code: "paused", reason: "it runs on battery", retry: true }]);
    expect(ofType(events, "paused").length).toBeGreaterThan(2);
    expect(coordinator.greetings).toBe(ofType(events, "paused").length);
    expect(coordinator.results).toEqual(reference);
  });

  it("says every half minute that it is there, however often it looks whether it may go on", async () => {
    const coordinator = newCoordinator([spec]);
    let looks = 0;
    const conditions = async () => ({ minuteOfDay: 0, isOnPower: ++looks > 130 });
    const events = await life(coordinator, { limits: { onlyOnPower: true }, conditions, pauseMs: 500 });
    expect(ofType(events, "paused").length).toBe(130);
    // At once, after 60 looks and after 120.
    expect(coordinator.greetings).toBe(3);
    expect(coordinator.results).toEqual(reference);
  });

  it("rests between steps for its share of the processor", async () => {
    const coordinator = newCoordinator([spec]);
    const rests: number[] = [];
    const base = agentOptions(coordinator, data).timing;
    const sleep: typeof base.sleep = (ms, signal) => {
      rests.push(ms);
      return base.sleep(ms, signal);
    };
    await life(coordinator, { limits: { cpuShare: 0.25 }, timing: { ...base, sleep } });
    // A heartbeat's wait is 500; a step of the toy takes far less than 100 ms.
    expect(rests.filter((ms) => ms > 0 && ms !== 500).length).toBeGreaterThanOrEqual(9);
    expect(coordinator.results).toEqual(reference);
  });

  it("ends when the coordinator turns it away for good", async () => {
    for (const code of ["revoked", "unauthenticated", "versionUnsupported"] as const) {
      for (const call of ["offer", "heartbeat", "upload"] as const) {
        const coordinator = newCoordinator([spec]);
        coordinator.fault = (called) => {
          if (called === call) throw new ProtocolError(code, "Go away.");
        };
        await expect(life(coordinator), `${code} at ${call}`).rejects.toMatchObject({ protocolCode: code });
      }
    }
  });

  it("says that it lacks the samples, and is not asked again", async () => {
    const fewer = { ...data, classNames: ["top", "bottom", "front"] };
    const coordinator = newCoordinator([trainSpec(data, { taskSet: [0, 2], taskId: "none" })]);
    await life(coordinator, { data: fewer });
    expect(coordinator.failures).toEqual([expect.objectContaining({ code: "data", retry: false })]);
  });

  it("stops at once and keeps its lease and checkpoint when it is told to stop", async () => {
    const state = memoryState();
    const coordinator = newCoordinator([spec]);
    const made = agentOptions(coordinator, data, { state });
    const stopping: AgentOptions = {
      ...made,
      onEvent: (event) => {
        made.onEvent(event);
        if (event.type === "progress" && event.step === 4) made.stop();
      },
    };
    await runAgent(stopping);
    expect((await state.readRecord()).work?.leaseId).toBe("lease-1");
    expect((await state.checkpoints("run1.train-d1").load())?.step).toBe(4);
    expect(coordinator.failures).toEqual([]);
    const events = await life(coordinator, { state });
    expect(ofType(events, "progress").find(({ phase }) => phase === "training")?.step).toBe(5);
    expect(coordinator.results).toEqual(reference);
  });
});
