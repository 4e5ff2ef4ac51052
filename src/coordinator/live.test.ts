import { describe, expect, it } from "vitest";
import { SheafError } from "../util/errors.ts";
import { sha256 } from "./bytes.ts";
import { type LogEntry, verifyLog } from "./chain.ts";
import { foldAll } from "./fold.ts";
import { openLive, steadyClock } from "./live.ts";
import { openMemoryLog } from "./memory.ts";
import { dataOf, dealByTurn, definitionOf, plain } from "./model.fixture.ts";
import type { EventLog } from "./store.ts";

const open = (log: EventLog<LogEntry>, prefix = "id", now: () => number = () => 1000) => {
  let ids = 0;
  return openLive({ log, sha256, planner: dealByTurn, newId: () => `${prefix}${++ids}`, now });
};
const enrol = (name: string) =>
  ({
    type: "enrol",
    publicKey: name,
    name,
    profile: { macsPerSecond: 1e9, memoryBytes: 1e9, bandwidthBitsPerSecond: 1e6 },
    data: dataOf([9, 9, 9, 9], name),
    software: "test",
  }) as const;
const read = async (log: EventLog<LogEntry>) => {
  const entries: LogEntry[] = [];
  for await (const entry of log.read()) entries.push(entry);
  return entries;
};

/** A log in memory that keeps how many entries each write had, and takes its time for one as a disk does: nothing else is done meanwhile. */
function countingLog(writeMs = 0): { readonly log: EventLog<LogEntry>; readonly sizes: readonly number[] } {
  const memory = openMemoryLog<LogEntry>();
  const sizes: number[] = [];
  const log: EventLog<LogEntry> = {
    ...memory,
    append: async (expected, entries) => {
      sizes.push(entries.length);
      for (const untilMs = performance.now() + writeMs; performance.now() < untilMs; );
      return await memory.append(expected, entries);
    },
  };
  return { log, sizes };
}

describe("a coordinator on a log", () => {
  it("answers when what it answers is written, writes together what comes together, and goes on from its log", async () => {
    const { log, sizes } = countingLog();
    const live = await open(log);
    const heard: number[] = [];
    const stop = live.listen((entries) => heard.push(...entries.map(({ sequence }) => sequence)));
    await live.do({ type: "createRun", definition: definitionOf() });
    const devices = await Promise.all(["ann", "bob", "cid"].map((name) => live.do(enrol(name))));
    expect(sizes).toEqual([1, 5]);
    stop();
    const offers = await Promise.all(
      devices.map(({ deviceId }) => live.do({ type: "requestOffer", deviceId, capabilities: { kinds: ["train"] } })),
    );
    expect(offers.map(({ assignment }) => assignment?.task.taskId)).toEqual(["train-d1", "train-d2", "train-d3"]);
    await live.do({ type: "tick" });
    expect(live.state.leases.size).toBe(3);
    expect(heard).toEqual([1, 2, 3, 4, 5, 6]);
    await live.close();
    await expect(live.do({ type: "tick" })).rejects.toMatchObject({ code: "unavailable" });
    const entries = await read(log);
    expect(await verifyLog(entries, sha256, live.head)).toMatchObject({ ok: true });
    const again = await open(log);
    expect(plain(again.state)).toEqual(plain(live.state));
    expect(plain(foldAll(entries.map(({ event }) => event)))).toEqual(plain(live.state));
  });

  it("writes what comes one after another together where a write takes long", async () => {
    const { log, sizes } = countingLog(20);
    const live = await open(log);
    const answers: Promise<unknown>[] = [];
    for (let i = 0; i < 20; i++) {
      answers.push(live.do(enrol(`device ${i}`)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(answers);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(20);
    expect(sizes.length).toBeLessThanOrEqual(5);
    expect(await verifyLog(await read(log), sha256, live.head)).toMatchObject({ ok: true });
  });

  it("changes nothing when the disk is full, and goes on when there is room again", async () => {
    const memory = openMemoryLog<LogEntry>();
    let full = true;
    const log: EventLog<LogEntry> = {
      ...memory,
      append: async (expected, entries) => {
        if (full) throw new SheafError("storage", "No room.");
        return await memory.append(expected, entries);
      },
    };
    const live = await open(log);
    await expect(Promise.all([live.do(enrol("ann")), live.do(enrol("bob"))])).rejects.toMatchObject({ code: "storage" });
    expect(live.state.devices.size).toBe(0);
    full = false;
    await live.do(enrol("ann"));
    expect(live.state.devices.size).toBe(1);
    expect(live.head.sequence).toBe(1);
  });

  it("finds out when a write that failed was written after all", async () => {
    const memory = openMemoryLog<LogEntry>();
    let fails = true;
    const log: EventLog<LogEntry> = {
      ...memory,
      append: async (expected, entries) => {
        const answer = await memory.append(expected, entries);
        if (fails) throw new SheafError("storage", "The disk went away.");
        return answer;
      },
    };
    const live = await open(log);
    await expect(live.do(enrol("ann"))).rejects.toMatchObject({ code: "storage" });
    fails = false;
    const { deviceId } = await live.do(enrol("ann"));
    expect([...live.state.devices.keys()]).toEqual([deviceId]);
    expect(await verifyLog(await read(log), sha256)).toMatchObject({ ok: true });
  });

  it("agrees with another coordinator on the same log", async () => {
    const log = openMemoryLog<LogEntry>();
    const [one, two] = [await open(log, "one"), await open(log, "two")];
    const names = Array.from({ length: 20 }, (_, i) => `n${i}`);
    const first = await Promise.all(names.map((name, i) => (i % 2 ? one : two).do(enrol(name))));
    const second = await Promise.all(names.map((name, i) => (i % 2 ? two : one).do(enrol(name))));
    expect(second).toEqual(first);
    expect(one.state.devices.size).toBe(20);
    expect(plain(one.state)).toEqual(plain(two.state));
    expect(await verifyLog(await read(log), sha256)).toMatchObject({ ok: true });
  });

  it("passes on a refusal as an error of the protocol, and does not let it disturb others", async () => {
    const live = await open(openMemoryLog<LogEntry>());
    const [bad, good] = await Promise.allSettled([live.do({ type: "pauseRun", runId: "none" }), live.do(enrol("ann"))]);
    expect(bad).toMatchObject({ status: "rejected", reason: { protocolCode: "notFound" } });
    expect(good.status).toBe("fulfilled");
  });

  it("refuses a log whose entries do not follow one another", async () => {
    const log = openMemoryLog<LogEntry>();
    const live = await open(log);
    await live.do(enrol("ann"));
    const [entry] = await read(log);
    await log.append(1, [{ ...(entry as LogEntry), sequence: 2 }]);
    await expect(open(log)).rejects.toMatchObject({ code: "corrupt" });
  });
});

describe("a steady clock", () => {
  it("does not follow the wall's clock when that is set", () => {
    let [wall, monotonic] = [5_000_000, 100.4];
    const now = steadyClock(
      () => wall,
      () => monotonic,
    );
    wall = 0;
    monotonic += 1000;
    expect(now()).toBe(5_001_000);
  });
});
