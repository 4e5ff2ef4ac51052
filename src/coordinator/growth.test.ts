/** What a command costs does not depend on the size of the fleet: counted in look-ups, not in time. */
import { Map as PersistentMap } from "immutable";
import { afterEach, expect, it, vi } from "vitest";
import { definitionOf, TestCoordinator } from "./model.fixture.ts";

afterEach(() => vi.restoreAllMocks());

/** Look-ups in the state's maps that each command of a device took, in a fleet of so many of which half have finished. */
function lookUps(devices: number): Readonly<Record<string, number>> {
  const c = new TestCoordinator();
  c.do({ type: "createRun", definition: definitionOf({ statistics: undefined }, { minimumDevices: devices }) });
  const ids = Array.from({ length: devices }, (_, i) => c.enrol(`device-${String(i).padStart(4, "0")}`));
  const get = vi.spyOn(PersistentMap.prototype, "get");
  const counted = (action: () => unknown): number => {
    get.mockClear();
    action();
    return get.mock.calls.length;
  };
  const leases = ids.map((id) => c.ask(id)?.lease.leaseId ?? "");
  const complete = (i: number) => c.complete(ids[i] as string, leases[i] as string, `result ${i}`);
  for (let i = 0; i < devices / 2; i++) complete(i);
  const last = devices - 1;
  const idle = counted(() => expect(c.ask(ids[0] as string)).toBeUndefined());
  const beat = counted(() =>
    c.do({
      type: "heartbeat",
      deviceId: ids[last] as string,
      leaseId: leases[last] as string,
      report: { phase: "training", progress: 0.5 },
    }),
  );
  const completion = counted(() => expect(complete(last).accepted).toBe(true));
  // All others are silent; their tasks lie, and wait for their own devices first.
  c.wait(61);
  const idleBesideOpen = counted(() => expect(c.ask(ids[0] as string)).toBeUndefined());
  const own = counted(() => expect(c.ask(ids[last - 1] as string)).toMatchObject({ lease: { why: "own" } }));
  c.wait(121);
  const substitute = counted(() => expect(c.ask(ids[0] as string)).toMatchObject({ lease: { why: "substitute" } }));
  vi.restoreAllMocks();
  return { idle, beat, completion, idleBesideOpen, own, substitute };
}

it("looks up as much in a fleet of 30 as in one of 300", () => {
  const [small, large] = [lookUps(30), lookUps(300)];
  for (const [command, count] of Object.entries(large)) {
    // Of those who could do a task, a bounded number are compared.
    expect(count, command).toBeLessThan(command === "substitute" ? 1500 : (small[command] ?? 0) + 10);
  }
});
