/** A run whose devices have no data of their own: they take what the coordinator offers, over HTTP, and train with it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type JoinEvent, joinFleet } from "../agent/joinNode.node.ts";
import { shardDataset } from "../agent/offered.ts";
import { openMemoryObjects } from "../coordinator/memory.ts";
import type { Run } from "../coordinator/state.ts";
import { takenShard } from "../coordinator/views.ts";
import type { Dataset } from "../data/dataset.ts";
import { openMemorySamples, type Samples } from "../data/samples.ts";
import { openClient } from "../protocol/client.ts";
import type { Fetch } from "../protocol/exchange.ts";
import { parseConfig } from "../run/config.ts";
import { startCoordinator } from "./coordinator.ts";
import { defineRun } from "./define.ts";
import { openSamplesOf } from "./samples.ts";

const root = mkdtempSync(join(tmpdir(), "sheaf-offered-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const base = {
  data: { name: "glyphs", trainCount: 120, testCount: 40 },
  target: { network: "tiny" },
  training: { epochs: 1, batchSize: 16 },
  fleet: { width: 0.5 },
  serve: { minimumDevices: 2, offeredShards: 2 },
};

/** Labelled records as text, sorted: what is in a set, in whatever order. */
const contentOf = (dataset: Dataset, samples: Samples): string[] =>
  Array.from(dataset.labels, (label, i) => `${label} ${samples.record(i).join(",")}`).sort();

describe("data that a run offers", () => {
  const objects = openMemoryObjects();
  const samplesOf = openSamplesOf(undefined);
  const define = (config: object) =>
    defineRun({ name: "test", config: config as Readonly<Record<string, unknown>> }, samplesOf, (bytes) => objects.put(bytes));
  const bytesOf = async (sha256: string): Promise<Uint8Array> =>
    new Uint8Array(await new Response(await objects.read(sha256)).arrayBuffer());

  it.each([{ type: "byClass" }, { type: "dirichlet", alpha: 5 }])(
    "are all training samples but a public pool, each once, whatever the partition: %o",
    async (partition) => {
      const config = { ...base, partition, negatives: "pool", poolShare: 0.25, serve: { offeredShards: 3 } };
      const { offered, work, ...rest } = await define(config);
      const definition = { offered, work, ...rest };
      const run = { runId: "r", definition } as unknown as Run;
      const given: string[] = [];
      for (const [i, { sha256 }] of (offered?.shards ?? []).entries()) {
        const dataset = await shardDataset(takenShard(run, i)!, await bytesOf(sha256));
        expect(dataset.labels.length).toBeLessThanOrEqual(offered?.samples ?? 0);
        given.push(...contentOf(dataset, openMemorySamples(dataset)));
      }
      expect(given).toHaveLength(90);
      const { train } = await samplesOf(parseConfig(config, "the test"));
      const all = contentOf(train as Dataset, openMemorySamples(train as Dataset));
      expect(given.every((sample) => all.includes(sample))).toBe(true);
      expect(await define(config)).toEqual(definition);
    },
  );

  it("are refused where the coordinator has none, or too few, and noticed where they are of another form", async () => {
    const samples = { classNames: ["a", "b"], shape: { channels: 1, height: 16, width: 16 }, mean: [100], std: [50] };
    await expect(define({ ...base, serve: { samples, offeredShards: 1 } })).rejects.toMatchObject({ code: "config" });
    await expect(define({ ...base, serve: { offeredShards: 121 } })).rejects.toMatchObject({ code: "config" });
    const definition = await define(base);
    const shard = takenShard({ runId: "r", definition } as unknown as Run, 0)!;
    const wrong = { ...shard, sampleShape: { ...shard.sampleShape, height: 5 } };
    await expect(shardDataset(wrong, await bytesOf(shard.object.sha256))).rejects.toMatchObject({ code: "corrupt" });
  });

  it("train devices that have none over HTTP, each with a shard that nobody else can read, which a restart does not fetch again", async () => {
    const folder = join(root, "store");
    await using coordinator = await startCoordinator({ store: folder, host: "127.0.0.1", port: 0, log: () => undefined });
    const { runId } = await coordinator.ensureRun("test", base);
    const [url, joinToken] = (await coordinator.joinLine(3, 1)).line.replace("sheaf join ", "").split("#") as [string, string];
    const client = openClient({ url, credentials: { type: "none" } });
    const before = (await client.call("invitation", { body: { joinToken } })).runs[0];
    expect(before?.offered).toMatchObject({ free: 2, samples: 60 });
    const runNow = (): Run => coordinator.live.state.runs.get(runId) as Run;
    const shards = runNow().definition.offered?.shards.map(({ sha256 }) => sha256) ?? [];
    const end = new AbortController();
    const events: JoinEvent[] = [];
    const asked: { name: string; path: string; authorization: string }[] = [];
    const joinAs = (name: string, signal: AbortSignal): Promise<void> => {
      const watching: Fetch = (address, init) => {
        const headers = new Headers(init.headers as Record<string, string>);
        asked.push({ name, path: new URL(address).pathname, authorization: headers.get("authorization") ?? "" });
        return fetch(address, init as RequestInit);
      };
      return joinFleet({
        url,
        joinToken,
        stateFolder: join(folder, "devices", name),
        data: "offered",
        name,
        fetch: watching,
        profile: async () => ({ macsPerSecond: 1e9, memoryBytes: 4e9, bandwidthBitsPerSecond: 1e8 }),
        onEvent: (event) => void events.push(event),
        signal,
      });
    };
    // The first is stopped once it has its data and waits for others, and comes back.
    const pause = new AbortController();
    const waiting = joinAs("ann", pause.signal);
    await expect.poll(() => events.some(({ type }) => type === "waiting"), { timeout: 30_000 }).toBe(true);
    pause.abort();
    await waiting;
    const devices = ["ann", "bob"].map((name) => joinAs(name, end.signal));
    try {
      const run = await Promise.race([coordinator.untilOver(runId, end.signal), ...devices.map((device) => device.then(runNow))]);
      const problems = events.flatMap((event) => (event.type === "problem" || event.type === "gaveBack" ? [JSON.stringify(event)] : []));
      expect([run.phase, run.reason, problems]).toEqual(["finished", undefined, []]);
      expect(run.takers).toHaveLength(2);
      expect(new Set(run.takers).size).toBe(2);
      // What was learned from is what was given.
      for (const slot of run.slots.values()) expect(slot.ownSamples).toBeGreaterThan(0);
      const fetchedBy = (name: string): string[] => [
        ...new Set(asked.flatMap((each) => (each.name === name ? shards.filter((sha256) => each.path.endsWith(sha256)) : []))),
      ];
      expect([fetchedBy("ann"), fetchedBy("bob")]).toEqual([[shards[0]], [shards[1]]]);
      expect(asked.filter(({ path }) => path.endsWith(shards[0] as string))).toHaveLength(1);
      const annsToken = asked.findLast(({ name, authorization }) => name === "ann" && authorization !== "")?.authorization ?? "";
      const statusOf = async (sha256: string): Promise<number> =>
        (await fetch(`${url}/v1/objects/${sha256}`, { headers: { authorization: annsToken } })).status;
      expect([await statusOf(shards[0] as string), await statusOf(shards[1] as string)]).toEqual([200, 404]);
      await expect(joinAs("cid", end.signal)).rejects.toMatchObject({ protocolCode: "conflict" });
    } finally {
      end.abort();
      await Promise.allSettled(devices);
    }
  }, 120_000);
});
