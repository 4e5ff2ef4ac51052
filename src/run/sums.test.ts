import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { initialParameters } from "../compile/initialize.ts";
import { type Dataset, sharedLabels } from "../data/dataset.ts";
import { openMemorySamples } from "../data/samples.ts";
import type { Harvested } from "../harvest/harvested.ts";
import { makeTunedHead } from "../harvest/makeHead.ts";
import { type DeviceStatistics, momentKinds } from "../harvest/statistics.ts";
import { compileStatistics, computeStatistics } from "../harvest/statisticsPass.ts";
import { buildModel } from "../models/table.ts";
import { writeOnnx } from "../onnx/write.ts";
import { openSession } from "../runtime/session.node.ts";
import { random } from "../util/random.ts";
import { parseConfig } from "./config.ts";
import { openRunDirectory } from "./directory.ts";
import { type PreparedRun, prepareRun } from "./prepare.ts";
import { gatherStatistics, type HeadSums, sourceWithout } from "./sums.ts";
import { fitOf } from "./target.ts";

const classCount = 6;
const owners = 2;

/** Noise around a mean of each class's own; classes take turns. */
function noisySet(perClass: number): Dataset {
  const source = random(2, "sums test");
  const labels = sharedLabels(classCount * perClass).map((_, i) => i % classCount);
  const values = Uint8Array.from({ length: labels.length * 64 }, (_, i) => 20 * (labels[i >> 6] as number) + source.below(60));
  return {
    name: "noise",
    classNames: Array.from({ length: classCount }, (_, c) => `class${c}`),
    shape: { channels: 1, height: 8, width: 8 },
    labels,
    store: { type: "memory", values },
    mean: [80],
    std: [40],
    provenance: { source: "noise", sha256: "0" },
  };
}

const train = noisySet(31);
const samples = openMemorySamples(train);
const folders: string[] = [];

interface Gathered {
  readonly prepared: PreparedRun;
  readonly harvested: readonly Harvested[];
  readonly sums: HeadSums;
  /** Sums without the second device. */
  readonly left: HeadSums;
}

/** The sums of a run whose branches are untrained: the same branches whatever is summed. */
async function gather(heads: Record<string, unknown>): Promise<Gathered> {
  const config = parseConfig({
    target: { network: "tiny" },
    fleet: { width: 0.4, redundancy: owners, devices: Array.from({ length: 4 }, () => ({ profile: "laptop" })) },
    head: "H2",
    heads: { extra: ["H3", "H5"], ...heads },
  });
  const prepared = prepareRun(config, buildModel("tiny", fitOf(train).input, classCount), train);
  const harvested = prepared.devices.map(({ subModel, own, background }, d): Harvested => {
    const parameters = initialParameters(subModel.network, d);
    return { subModel, parameters, ownSamples: own.length, backgroundSamples: background.length, classCounts: Array(classCount).fill(31) };
  });
  const out = await mkdtemp(join(tmpdir(), "sheaf-sums-"));
  folders.push(out);
  await using directory = await openRunDirectory(out, config, false);
  const sums = await gatherStatistics(config, prepared, harvested, samples, directory, { config, out });
  const ids = prepared.devices.map(({ planned }) => planned.id);
  const left = await sourceWithout(out, config, ids, harvested, classCount, ids.slice(1, 2));
  return { prepared, harvested, sums, left };
}

/** One pass over all samples, each once, on one device. */
async function pooled(harvested: readonly Harvested[]): Promise<DeviceStatistics> {
  const program = compileStatistics(harvested, classCount, undefined, { scores: true });
  await using session = await openSession(writeOnnx(program.graph));
  return await computeStatistics(session, program, samples, Array.from(train.labels.keys()));
}

function expectMultiple(actual: DeviceStatistics | undefined, of: DeviceStatistics, factor: number): void {
  expect([...(actual?.counts ?? [])]).toEqual([...of.counts.map((n) => factor * n)]);
  for (const kind of momentKinds) {
    for (const part of ["gram", "sums"] as const) {
      const scale = Math.max(...of[kind][part].map(Math.abs));
      const wrong = of[kind][part].map((value, i) => Math.abs(factor * value - (actual?.[kind][part][i] ?? Number.NaN)) / scale);
      expect(Math.max(...wrong)).toBeLessThan(1e-6);
    }
  }
}

describe("heads.sums", () => {
  let [once, all] = [] as unknown as [Gathered, Gathered];
  beforeAll(async () => {
    [once, all] = [await gather({}), await gather({ sums: "all" })];
  });
  afterAll(async () => {
    for (const folder of folders) await rm(folder, { recursive: true });
  });

  it("once: the devices' sums add up to those of all samples, each once; all: to as many times them as a class has owners", async () => {
    expect(once.prepared.plan.codewords.map((codeword) => codeword.length)).toEqual(Array(classCount).fill(owners));
    const whole = await pooled(once.harvested);
    expectMultiple(once.sums.statistics, whole, 1);
    expectMultiple(all.sums.statistics, whole, owners);
  });

  it.each(["H1", "H2", "H3", "H5"] as const)("gives the same %s, no ridge of which knows how many samples there are", (type) => {
    const [a, b] = [once, all].map(({ harvested, sums }) => makeTunedHead(type, { harvested, ...sums }).head);
    for (const part of ["weight", "bias"] as const) {
      const [x, y] = [a?.[part].data as Float32Array, b?.[part].data as Float32Array];
      const scale = Math.max(...x.map(Math.abs));
      expect(Math.max(...x.map((value, i) => Math.abs(value - (y[i] as number)))) / scale).toBeLessThan(1e-4);
    }
  });

  it("once: a lost device takes a share of its classes' samples with it, and the counts of classes keep the proportions that they have with all", () => {
    const lost = once.prepared.plan.devices[1]?.taskSet ?? [];
    for (let c = 0; c < classCount; c++) {
      const [some, every] = [once, all].map(({ left }) => left.statistics?.counts[c] ?? 0);
      expect(every).toBe(31 * (lost.includes(c) ? owners - 1 : owners));
      expect(Math.abs((some as number) - (every as number) / owners)).toBeLessThan(1);
    }
  });

  it("once: held-out samples too are summed once, apart from the others", async () => {
    const { sums, prepared } = await gather({ heldOutShare: 0.2 });
    const total = sums.statistics?.counts.map((n, c) => n + (sums.heldOut?.counts[c] ?? 0));
    expect([...(total ?? [])]).toEqual(Array(classCount).fill(31));
    expect(sums.heldOut?.counts.reduce((a, b) => a + b)).toBe(Math.round(0.2 * 186));
    const passed = prepared.devices.flatMap(({ statistics, heldOut }) => [...statistics, ...heldOut]);
    expect(passed.sort((a, b) => a - b)).toEqual([...train.labels.keys()]);
  });
});
