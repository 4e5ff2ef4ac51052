/** The agent with the protocol's real client over a line that does everything wrong that a line can. */
import { describe, expect, it } from "vitest";
import { toyDataset } from "../../test/fixtures/toyJob.ts";
import { encodeBranches } from "../protocol/branchList.ts";
import { openClient } from "../protocol/client.ts";
import { type Fault, fakeCoordinator, faults, jsonResponse } from "../protocol/coordinator.fixture.ts";
import { errorBody, ProtocolError } from "../protocol/errors.ts";
import type { Completion, Heartbeat, OfferRequest, TaskFailure } from "../protocol/messages.ts";
import { createKey } from "../protocol/signing.ts";
import { sha256Hex } from "../util/hash.node.ts";
import { random } from "../util/random.ts";
import { runAgent } from "./agent.ts";
import { agentOptions, branchOf, FakeCoordinator, quickTiming, settleSpec, statisticsSpec, trainSpec } from "./fakeCoordinator.fixture.ts";
import { linkOf } from "./link.ts";

const data = toyDataset(48, 3);
const spec = trainSpec(data);
/** Lease numbers that have answers. */
const mostLeases = 100;

/** Results of a life over a line with faults in a share of its requests, and how many there were. */
async function lifeOver(
  coordinator: FakeCoordinator,
  seed: number,
  share: number,
): Promise<{ readonly results: readonly string[]; readonly faults: number }> {
  const wire = fakeCoordinator();
  const { key } = await createKey();
  wire.device = { id: "device-1", publicKey: key.publicKey, tokenMs: 3_600_000 };
  wire.pieceBytes = 1500;
  for (const [name, bytes] of coordinator.objects) wire.objects.set(name, bytes);
  const behind = coordinator.link();
  const { signal } = new AbortController();
  const answer = (path: string, act: (body: never) => Promise<unknown>): void => {
    wire.answers.set(`POST ${path}`, async (request) => {
      try {
        return jsonResponse(await act((await request.json()) as never));
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        return jsonResponse(errorBody(error), error.status);
      }
    });
  };
  answer("/v1/offers", (body: OfferRequest) => behind.offer(body, signal));
  for (let n = 1; n <= mostLeases; n++) {
    const lease = `lease-${n}`;
    answer(`/v1/leases/${lease}/heartbeat`, (body: Heartbeat) => behind.heartbeat(lease, body, signal));
    answer(`/v1/leases/${lease}/fail`, (body: TaskFailure) => behind.fail(lease, body, signal));
    answer(`/v1/leases/${lease}/complete`, (body: Completion) => {
      for (const [name, bytes] of wire.objects) coordinator.objects.set(name, new Uint8Array(bytes));
      return behind.complete(lease, body, signal);
    });
  }
  const source = random(seed, "wire");
  let count = 0;
  const client = openClient({
    url: "https://coordinator",
    credentials: { type: "device", deviceId: "device-1", serverId: "server", key },
    fetch(url, init) {
      const fault: Fault = source.uniform() < share ? (faults[source.below(faults.length)] as Fault) : "none";
      if (fault !== "none") count++;
      wire.faults.push(fault);
      return wire.fetch(url, init);
    },
    timing: { ...quickTiming, attempts: 3 },
    now: wire.now,
    silenceMs: 10,
  });
  const options = agentOptions(coordinator, data, { link: linkOf(client), waitMs: 0 });
  await runAgent(options);
  return { results: coordinator.results, faults: count };
}

describe("an agent on the wire", () => {
  it("gives the same bytes whatever the line does to a quarter of its requests", async () => {
    const first = new FakeCoordinator([spec]);
    await lifeOver(first, 0, 0);
    const parameters = first.outputsOf(spec.taskId).get("parameters") as Uint8Array<ArrayBuffer>;
    const branch = branchOf(spec, parameters, [10, 10, 5]);
    const list = encodeBranches([branch, { ...branch, device: "d2" }]);
    const name = sha256Hex(list);
    const all = [spec, statisticsSpec(name), settleSpec(name)];
    const undisturbed = await lifeOver(new FakeCoordinator(all, [parameters, list]), 0, 0);
    expect(undisturbed.faults).toBe(0);
    expect(undisturbed.results).toHaveLength(4);
    for (const seed of [1, 2, 3]) {
      const disturbed = await lifeOver(new FakeCoordinator(all, [parameters, list]), seed, 0.25);
      expect(disturbed.faults).toBeGreaterThan(3);
      expect(disturbed.results).toEqual(undisturbed.results);
    }
  });
});
