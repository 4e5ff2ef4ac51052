/** Fleets with stubbed training: what comes of losses, stragglers and slow devices, and that every simulation ends and can be had again. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { LogEntry } from "../coordinator/chain.ts";
import { verifyLog } from "../coordinator/chain.ts";
import type { FleetPolicy, RunDefinition } from "../coordinator/events.ts";
import { definitionOf } from "../coordinator/model.fixture.ts";
import { sha256Hex } from "../util/hash.node.ts";
import { growthOf } from "./growth.ts";
import type { SimulationResult } from "./outcome.ts";
import { simulateStubbed } from "./stubbed.ts";
import type { Interval } from "./trace.ts";
import type { VirtualDevice } from "./virtualFleet.ts";

const always: Interval = { fromMs: 0, toMs: Number.POSITIVE_INFINITY, onPower: true, speed: 1 };
const until = (seconds: number): readonly Interval[] => [{ ...always, toMs: 1000 * seconds }];

/** A device that needs about a minute for its task. */
const device = (name: string, changes: Partial<VirtualDevice> = {}): VirtualDevice => ({
  name,
  profile: { name, macsPerSecond: 3e5, memoryBytes: 1e9, bandwidthBitsPerSecond: 1e6, watts: 5 },
  speed: 1,
  counts: [100, 100, 100, 100],
  intervals: [always],
  ...changes,
});

const policy: Partial<FleetPolicy> = { giveUpAfterSeconds: 900, substituteAfterSeconds: 120, stragglerFactor: 2 };
const definition = (changes: Partial<FleetPolicy> = {}): RunDefinition => {
  const made = definitionOf({}, { ...policy, ...changes });
  // With H0 alone: nobody needs a class twice, and there is no second phase.
  const { statistics: _, ...work } = made.work;
  return { ...made, work, planning: { ...made.planning, statisticsPass: false, width: 0.5, classesPerDevice: 2 } };
};

async function run(
  fleet: readonly VirtualDevice[],
  changes: Partial<FleetPolicy> = {},
  sameSamples = false,
): Promise<{ readonly result: SimulationResult; readonly entries: readonly LogEntry[] }> {
  const entries: LogEntry[] = [];
  const result = await simulateStubbed({
    seed: 1,
    definition: definition({ minimumDevices: fleet.length, ...changes }),
    fleet,
    sameSamples,
    latencyMs: 50,
    tickMs: 1000,
    untilMs: 48 * 3_600_000,
    checkpointSeconds: 10,
    signal: new AbortController().signal,
    onEntries: (more) => entries.push(...more),
  });
  return { result, entries };
}

const names = ["ann", "bob", "cat", "dan"];
const four = (changes: Readonly<Record<string, Partial<VirtualDevice>>> = {}): readonly VirtualDevice[] =>
  names.map((name) => device(name, changes[name]));

describe("a simulated fleet", () => {
  it("gives the same log and the same figures again", async () => {
    const fleet = four({ bob: { intervals: until(30) }, cat: { speed: 0.1 } });
    const [first, second] = [await run(fleet), await run(fleet)];
    const { coordinator: _, ...result } = first.result;
    expect(second.result).toMatchObject(result);
    expect(second.entries).toEqual(first.entries);
    expect(await verifyLog(first.entries, sha256Hex)).toEqual({ ok: true, head: { sequence: result.log.entries, hash: result.log.head } });
  });

  it("takes as long as its devices are slow", async () => {
    const fast = (await run(four())).result;
    const slow = (await run(four(Object.fromEntries(names.map((name) => [name, { speed: 0.5 }]))), { stragglerFactor: 100 })).result;
    expect(fast).toMatchObject({
      outcome: "finished",
      devices: { planned: 4, finished: 4 },
      classes: { missing: [] },
      macs: { wasted: 0 },
    });
    const [a, b] = [fast.seconds.finalModel as number, slow.seconds.finalModel as number];
    expect(b / a).toBeGreaterThan(1.9);
    expect(b / a).toBeLessThan(2.05);
  });

  it("substitutes devices that are lost, and says what that wasted", async () => {
    const { result } = await run(four({ bob: { intervals: until(20) } }));
    expect(result).toMatchObject({
      outcome: "finished",
      devices: { finished: 3, substituted: 1, lost: 1, helpers: 1 },
      tasks: { done: 4, givenUp: 0, reoffered: 1, leases: { own: 4, substitute: 1 } },
      classes: { missing: [] },
    });
    expect(result.macs.wasted).toBeGreaterThan(0);
    expect(result.seconds.finalModel).toBeGreaterThan(120);
  });

  it("finishes with all devices lost but one", async () => {
    const { result } = await run(four({ ann: { intervals: until(20) }, bob: { intervals: until(15) }, cat: { intervals: until(10) } }));
    expect(result).toMatchObject({ outcome: "finished", devices: { lost: 3, substituted: 3, helpers: 1 }, classes: { covered: 4 } });
  });

  it("names the class all of whose owners left", async () => {
    const only = (counts: readonly number[]) => ({ counts });
    const fleet = four({
      ann: only([100, 100, 0, 0]),
      bob: only([100, 100, 0, 0]),
      cat: only([100, 100, 0, 0]),
      dan: { ...only([0, 0, 100, 100]), intervals: until(20) },
    });
    const { result } = await run(fleet);
    expect(result).toMatchObject({ outcome: "finished", tasks: { givenUp: 1 }, classes: { covered: 2, missing: ["two", "three"] } });
    expect(result.seconds.covered).toBeUndefined();
  });

  it("gives a straggler's task to another, whose result counts", async () => {
    const { result } = await run(four({ dan: { speed: 0.01 } }));
    expect(result).toMatchObject({ outcome: "finished", devices: { straggled: 1, substituted: 1 }, tasks: { leases: { straggler: 1 } } });
  });

  it("goes on where it was after an absence, and waits on battery", async () => {
    const away = [
      { ...always, toMs: 20_000 },
      { ...always, fromMs: 60_000 },
    ];
    const battery = [
      { ...always, toMs: 20_000 },
      { ...always, fromMs: 20_000, toMs: 90_000, onPower: false },
      { ...always, fromMs: 90_000 },
    ];
    const { result } = await run(four({ ann: { intervals: away }, bob: { intervals: battery } }));
    expect(result).toMatchObject({ outcome: "finished", devices: { finished: 4 }, tasks: { leasesLost: { failed: 1 } } });
    expect(result.seconds.finalModel).toBeLessThan(200);
  });

  it("says why it did not begin", async () => {
    const { result } = await run(four({ dan: { intervals: [] } }), { minimumDevices: 4 });
    expect(result).toMatchObject({ outcome: "unfinished", reason: expect.stringContaining("serve.minimumDevices") });
    const begun = await run(four({ dan: { intervals: [] } }), { minimumDevices: 4, startBySeconds: 60 });
    expect(begun.result).toMatchObject({ outcome: "finished", seconds: { plan: 60 } });
  });

  it("ends whatever the trace, with a log that verifies and every class covered or named", async () => {
    const stay = fc.tuple(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 300 }), fc.boolean());
    const stays = fc.tuple(fc.array(stay, { minLength: 1, maxLength: 4 }), fc.boolean());
    const intervalsOf = ([parts, forEver]: readonly [readonly (readonly [number, number, boolean])[], boolean]): readonly Interval[] => {
      let at = 0;
      return parts.map(([gap, length, onPower], i): Interval => {
        const fromMs = 1000 * (at + gap);
        at += gap + length;
        return { fromMs, toMs: forEver && i === parts.length - 1 ? Number.POSITIVE_INFINITY : 1000 * at, onPower, speed: 1 };
      });
    };
    await fc.assert(
      fc.asyncProperty(fc.array(stays, { minLength: 4, maxLength: 4 }), fc.boolean(), async (drawn, sameSamples) => {
        const fleet = drawn.map((each, i) => device(names[i] as string, { intervals: intervalsOf(each) }));
        const { result, entries } = await run(fleet, {}, sameSamples);
        expect(result.outcome).not.toBe("unfinished");
        expect(await verifyLog(entries, sha256Hex)).toMatchObject({ ok: true });
        expect(result.classes.covered + result.classes.missing.length).toBe(result.classes.total);
        expect(result.tasks.done + result.tasks.givenUp).toBe(result.tasks.total);
      }),
      { numRuns: 12 },
    );
  });
});

describe("growth", () => {
  it("finds the exponent, and where it rises", () => {
    const linear = growthOf("a", [10, 100, 1000], [30, 300, 3000]);
    expect(linear.exponent).toBeCloseTo(1);
    expect(linear).not.toHaveProperty("overLinearFrom");
    expect(growthOf("b", [10, 100, 1000], [30, 300, 30_000])).toMatchObject({
      overLinearFrom: 1000,
      local: [expect.closeTo(1), expect.closeTo(2)],
    });
  });
});
