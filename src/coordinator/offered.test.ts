import { beforeEach, describe, expect, it } from "vitest";
import { invitationSchema } from "../protocol/invitation.ts";
import type { RunDefinition } from "./events.ts";
import { definitionOf, plain, TestCoordinator } from "./model.fixture.ts";
import { referencedObjects } from "./spec.ts";
import { invitedRun, takenShard } from "./views.ts";

let c: TestCoordinator;
beforeEach(() => {
  c = new TestCoordinator();
});

const hash = (letter: string): string => letter.repeat(64);
const offering = (letters: string): RunDefinition => ({
  ...definitionOf(),
  offered: { shards: [...letters].map((letter, i) => ({ role: "shard", sha256: hash(letter), bytes: 100 + i })), samples: 30 },
});
const volunteer = (name: string): string => c.enrol(name, [0, 0, 0, 0]);
const create = (definition: RunDefinition): string => c.do({ type: "createRun", definition }).runId;
const take = (deviceId: string, runId: string | null = null) => c.do({ type: "takeShard", deviceId, runId });
const runOf = (runId: string) => c.state.runs.get(runId)!;

describe("offered data", () => {
  it("are given out one shard a device, in the order in which they ask, and the same again after a restart", () => {
    const runId = create(offering("abc"));
    const [ann, bob] = [volunteer("ann"), volunteer("bob")];
    expect([take(bob), take(ann), take(bob)]).toEqual([
      { runId, shard: 0 },
      { runId, shard: 1 },
      { runId, shard: 0 },
    ]);
    const before = plain(c.state);
    c.restart();
    expect(plain(c.state)).toEqual(before);
    expect(take(ann)).toEqual({ runId, shard: 1 });
    expect(c.log.filter(({ type }) => type === "shard.taken")).toHaveLength(2);
    expect(takenShard(runOf(runId), 1)).toMatchObject({
      runId,
      object: { sha256: hash("b"), bytes: 101 },
      classNames: runOf(runId).definition.classNames,
    });
  });

  it("are told of in the invitation, with what is left and how much of it a device fetches", () => {
    const runId = create(offering("ab"));
    take(volunteer("ann"));
    const invited = invitedRun(c.state, runOf(runId));
    expect(invited.offered).toEqual({ free: 1, samples: 30, bytes: 101 });
    expect(() => invitationSchema.parse({ serverId: "s", runs: [invited] })).not.toThrow();
    const without = create(definitionOf());
    expect(invitedRun(c.state, runOf(without))).not.toHaveProperty("offered");
  });

  it("run out, unless a device that had some is revoked", () => {
    const runId = create(offering("a"));
    const [ann, bob] = [volunteer("ann"), volunteer("bob")];
    take(ann);
    expect(c.try({ type: "takeShard", deviceId: bob, runId: null })).toMatchObject({ ok: false, code: "conflict" });
    expect(c.try({ type: "takeShard", deviceId: bob, runId: "none" })).toMatchObject({ ok: false, code: "conflict" });
    c.do({ type: "revokeDevice", deviceId: ann, reason: "test" });
    expect(take(bob)).toEqual({ runId, shard: 0 });
    expect(c.try({ type: "takeShard", deviceId: ann, runId: null })).toMatchObject({ ok: false, code: "revoked" });
  });

  it("come from the run that is asked for, from the oldest otherwise, and never from one that is over where another offers some", () => {
    const [first, second] = [create(offering("a")), create(offering("b"))];
    const [ann, bob] = [volunteer("ann"), volunteer("bob")];
    expect(take(ann, second)).toEqual({ runId: second, shard: 0 });
    expect(take(bob)).toEqual({ runId: first, shard: 0 });
    c.do({ type: "cancelRun", runId: first });
    // Nothing else is left to take, and what it has may serve again.
    expect(take(bob)).toEqual({ runId: first, shard: 0 });
    const third = create(offering("c"));
    expect(take(bob)).toEqual({ runId: third, shard: 0 });
  });

  it("make a device take part only once it has them, and stay stored until the run is archived", () => {
    const runId = create(offering("abc"));
    const devices = ["ann", "bob", "cid"].map(volunteer);
    for (const deviceId of devices) {
      expect(c.ask(deviceId)).toBeUndefined();
      take(deviceId);
    }
    expect(runOf(runId).phase).toBe("gathering");
    const counts = [5, 5, 5, 5];
    for (const [i, deviceId] of devices.entries()) {
      const data = { ...c.state.devices.get(deviceId)!.data, counts, fingerprint: hash(String(i)) };
      c.do({ type: "requestOffer", deviceId, capabilities: { kinds: ["train"] }, data });
    }
    expect(runOf(runId).phase).toBe("train");
    expect(referencedObjects(c.state).has(hash("c"))).toBe(true);
    c.do({ type: "cancelRun", runId });
    c.do({ type: "archiveRun", runId });
    expect(referencedObjects(c.state).has(hash("c"))).toBe(false);
  });
});
