/** A coordinator as `sheaf serve` starts it: what it says of itself. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { type RunningCoordinator, startCoordinator } from "./coordinator.ts";

const root = mkdtempSync(join(tmpdir(), "sheaf-coordinator-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe("a coordinator", () => {
  it("names its address, found out when it began to listen, in its description and its lines to join", async () => {
    await using coordinator = await startCoordinator({ store: root, host: "127.0.0.1", port: 0, log: () => undefined });
    expect(coordinator.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const description = (await (await fetch(`${coordinator.url}/v1/openapi.json`)).json()) as { servers: readonly { url: string }[] };
    expect(description.servers).toEqual([{ url: coordinator.url }]);
    expect(JSON.stringify(await coordinator.joinLine(1, 1))).toContain(`sheaf join ${coordinator.url}#`);
  });
});

/** A thread in place of the one that puts models together: waits, without yielding, for a file; then does what its script says. */
const blocking = (then: string): string => `
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
const cell = new Int32Array(new SharedArrayBuffer(4));
while (!existsSync(join(workerData.store, "go"))) Atomics.wait(cell, 0, 0, 10);
${then}
`;

/** Takes a run, past the gate, to where only its model is missing. */
async function toAssembly({ live, ensureRun }: RunningCoordinator): Promise<string> {
  const samples = { classNames: ["a", "b"], shape: { channels: 1, height: 16, width: 16 }, mean: [100], std: [50] };
  const { runId } = await ensureRun("night", {
    data: { name: "test" },
    target: { network: "tiny" },
    training: { epochs: 1, batchSize: 16 },
    head: "H0",
    serve: { minimumDevices: 1, samples },
  });
  const profile = { macsPerSecond: 1e9, memoryBytes: 1e9, bandwidthBitsPerSecond: 1e6 };
  const { classNames, shape: sampleShape } = samples;
  const data = { classNames, counts: [90, 90], sampleShape, fingerprint: "f".repeat(64) };
  const { deviceId } = await live.do({ type: "enrol", publicKey: "ann", name: "ann", profile, data, software: "test" });
  const { assignment } = await live.do({ type: "requestOffer", deviceId, capabilities: { kinds: ["train"] } });
  await live.do({
    type: "complete",
    deviceId,
    leaseId: assignment?.lease.leaseId ?? "",
    outputs: [{ role: "parameters", sha256: "a".repeat(64), bytes: 9 }],
    measured: { seconds: 1, macs: 1, samples: 1 },
    verdict: { accepted: true },
  });
  return runId;
}

describe("a coordinator that puts a model together", () => {
  it("answers meanwhile, says why there is none where the thread fails or dies, and has it on another try", async () => {
    const store = join(root, "busy");
    const script = join(root, "worker.mjs");
    writeFileSync(script, blocking('parentPort.postMessage({ type: "failed", code: "storage", message: "No room to think." });'));
    const open = { store, host: "127.0.0.1", port: 0, log: () => undefined, assemblyWorker: pathToFileURL(script) };
    await using coordinator = await startCoordinator(open);
    const runId = await toAssembly(coordinator);
    const over = (): ReturnType<RunningCoordinator["untilOver"]> => coordinator.untilOver(runId, new AbortController().signal);
    expect(coordinator.live.state.runs.get(runId)?.phase).toBe("assemble");
    // In one thread with the model, nothing would be answered: the file is written after.
    for (let i = 0; i < 3; i++) expect((await fetch(`${coordinator.url}/healthz`)).status).toBe(200);
    expect(coordinator.live.state.runs.get(runId)?.phase).toBe("assemble");
    writeFileSync(join(store, "go"), "");
    expect(await over()).toMatchObject({ phase: "failed", reason: "No room to think." });
    writeFileSync(script, blocking('throw new Error("out of luck");'));
    await coordinator.live.do({ type: "resumeRun", runId });
    expect(await over()).toMatchObject({ phase: "failed", reason: expect.stringMatching(/out of luck.*`sheaf runs resume`/) });
    writeFileSync(script, blocking('parentPort.postMessage({ type: "made", made: { model: new Uint8Array([1, 2, 3]), head: "H0" } });'));
    await coordinator.live.do({ type: "resumeRun", runId });
    const { phase, outputs = [] } = await over();
    expect([phase, outputs.map(({ role }) => role)]).toEqual(["finished", ["model"]]);
    expect([...(await coordinator.readObject(outputs[0] as (typeof outputs)[number]))]).toEqual([1, 2, 3]);
  });
});
