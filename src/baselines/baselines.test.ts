/** Known answers: slices, averages, and methods that must agree where their definitions do. */
import { describe, expect, it } from "vitest";
import { toyDataset, toySettings } from "../../test/fixtures/toyJob.ts";
import { batchNorm, conv, inputOf, networkOf } from "../../test/support/networks.ts";
import { initialParameters } from "../compile/initialize.ts";
import { openSamples } from "../data/samples.node.ts";
import { buildModel } from "../models/table.ts";
import { tiny } from "../models/tiny.ts";
import { narrow } from "../network/narrow.ts";
import { networkCost } from "../network/shapes.ts";
import { writeOnnx } from "../onnx/write.ts";
import { resolveProfile } from "../plan/device.ts";
import { openSession } from "../runtime/session.node.ts";
import { evaluateModel } from "../train/evaluate.ts";
import { trainAll } from "../train/pool.node.ts";
import { floats, type Tensor } from "../util/tensor.ts";
import { averageSlices } from "./average.ts";
import { compileEnsemble } from "./ensemble.ts";
import type { BaselineOptions, Client, Federation } from "./federation.ts";
import { drawnShare } from "./fjord.ts";
import { jobOf, type Progress, participants, roundsOf, runRounds } from "./rounds.ts";
import { roundSettings } from "./sliceRound.ts";
import { cutSlice, firstChannels, placesOf, rollingChannels, sliceOf, widestOf } from "./slices.ts";
import { basesOf, splitOf } from "./splitMix.ts";
import { baselineNames, baselines } from "./table.ts";

const dataset = toyDataset(120);
const target = tiny({ ...dataset.shape, mean: dataset.mean, std: dataset.std }, 3);
const options: BaselineOptions = { rounds: 2, localEpochs: 1, participation: 1, mu: 0.5, segments: 2, calibrate: false };

const client = (id: string, widths: number, keep: (label: number, i: number) => boolean): Client => {
  const samples = Uint32Array.from([...dataset.labels.keys()].filter((i) => keep(dataset.labels[i] as number, i)));
  return { id, profile: resolveProfile("raspberry-pi-4"), widths, samples, ownSamples: samples.length };
};
const two = [client("a", 0.25, (_, i) => i % 2 === 0), client("b", 0.5, (_, i) => i % 2 === 1)];

function federation(clients: readonly Client[], changes: Partial<BaselineOptions> = {}): Federation {
  const settings = { ...toySettings, augmentation: { crop: 0, flip: false, cutout: 0 } };
  return {
    target,
    dataset,
    clients,
    slimWidth: 0.25,
    settings: { wide: settings, narrow: settings },
    options: { ...options, ...changes },
    seed: 3,
  };
}

const train = (jobs: Parameters<typeof trainAll>[0]): ReturnType<typeof trainAll> => trainAll(jobs, { workers: 0 });
const run = (name: (typeof baselineNames)[number], f: Federation, from?: Progress): Promise<Progress> =>
  runRounds(f, baselines[name], { train, ...(from ? { from } : {}) });
const hex = (state: ReadonlyMap<string, Tensor>): unknown =>
  [...state].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, { data }]) => [name, [...data]]);
const numbers = (t: Tensor | undefined): number[] => [...((t as Tensor).data as Float32Array)];

/** Two layers with four and two channels; a head of two. */
const small = networkOf(inputOf(1, 1, 1), [
  conv("c1", 4, { kernel: [1, 1], padding: [0, 0] }),
  batchNorm("bn"),
  { type: "flatten", name: "flat" },
  { type: "linear", name: "head", outFeatures: 2, bias: true },
]);
const counting = (network: typeof small): Map<string, Tensor> =>
  new Map(
    [...initialParameters(network, 1)].map(([name, { shape, data }]) => [
      name,
      floats(
        "float32",
        shape,
        Array.from({ length: data.length }, (_, i) => i),
      ),
    ]),
  );

describe("slices", () => {
  it("take the first channels, or a window that wraps around", () => {
    expect([...firstChannels(5, 3)]).toEqual([0, 1, 2]);
    expect([...rollingChannels(4)(5, 3)]).toEqual([4, 0, 1]);
  });

  it("cut rows and columns of the channels and classes that they hold", () => {
    const slice = sliceOf(small, small, 0.5, [1], rollingChannels(3));
    const cut = cutSlice(small, counting(small), slice);
    expect(numbers(cut.get("c1.weight"))).toEqual([3, 0]);
    expect(numbers(cut.get("bn.running_var"))).toEqual([3, 0]);
    // Row 1 of [2, 4], columns 3 and 0.
    expect(numbers(cut.get("head.weight"))).toEqual([7, 4]);
    expect(numbers(cut.get("head.bias"))).toEqual([1]);
  });

  it("of the whole are the whole, and every place is used once, for every kind of network", () => {
    for (const name of ["vgg11", "resnet18", "ds-cnn", "alexnet"]) {
      const height = name === "ds-cnn" ? 98 : 32;
      const input = { channels: name === "ds-cnn" ? 1 : 3, height, width: name === "ds-cnn" ? 40 : 32 };
      const zeros = Array.from({ length: input.channels }, () => 0);
      const network = narrow(buildModel(name, { ...input, mean: zeros, std: zeros.map(() => 1) }, 10), 0.1);
      const classes = Array.from({ length: 10 }, (_, i) => i);
      for (const places of placesOf(network, sliceOf(network, network, 1, classes)).values()) {
        expect(places.every((place, i) => place === i)).toBe(true);
      }
      const part = placesOf(network, sliceOf(network, network, 0.5, [2, 5], rollingChannels(1)));
      for (const places of part.values()) {
        const held = [...places].filter((place) => place >= 0);
        expect(new Set(held).size).toBe(held.length);
      }
    }
  });

  it("refuse a client wider than the server", () => {
    expect(() => sliceOf(target, narrow(target, 0.25), 0.5, [0, 1, 2])).toThrow("no client may be wider");
  });

  it("the narrowest network that holds all clients is the widest client's", () => {
    expect(narrow(target, widestOf(target, [0.25, 0.5, 0.3]))).toEqual(narrow(target, 0.5));
  });
});

describe("averageSlices", () => {
  it("averages each value over those who hold it and keeps the rest (HeteroFL)", () => {
    const state = counting(small);
    const filled = (
      value: number,
      widths: number,
    ): { slice: ReturnType<typeof sliceOf>; parameters: Map<string, Tensor>; weight: number } => {
      const slice = sliceOf(small, small, widths, [0, 1]);
      const cut = cutSlice(small, state, slice);
      const parameters = new Map(
        [...cut].map(([name, t]) => [name, floats("float32", t.shape, new Array<number>(t.data.length).fill(value))]),
      );
      return { slice, parameters, weight: 1 };
    };
    const next = averageSlices(small, state, [filled(10, 0.25), filled(20, 0.5)]);
    expect(numbers(next.get("c1.weight"))).toEqual([15, 20, 2, 3]);
    expect(numbers(next.get("head.weight"))).toEqual([15, 20, 2, 3, 15, 20, 6, 7]);
    expect(numbers(next.get("head.bias"))).toEqual([15, 15]);
    expect(numbers(next.get("bn.running_mean"))).toEqual([15, 20, 2, 3]);
  });

  it("weighs clients and pools variances by the law of total variance", () => {
    const state = counting(small);
    const slice = sliceOf(small, small, 1, [0, 1]);
    const of = (
      mean: number,
      variance: number,
      weight: number,
    ): { slice: typeof slice; parameters: Map<string, Tensor>; weight: number } => {
      const parameters = new Map(state);
      parameters.set("bn.running_mean", floats("float32", [4], [mean, mean, mean, mean]));
      parameters.set("bn.running_var", floats("float32", [4], [variance, variance, variance, variance]));
      parameters.set("head.bias", floats("float32", [2], [mean, mean]));
      return { slice, parameters, weight };
    };
    // Three samples' worth of N(0, 1) and one of N(4, 9): mean 1, E[x^2] = (3 * 1 + 25) / 4 = 7, variance 6.
    const next = averageSlices(small, state, [of(0, 1, 3), of(4, 9, 1)]);
    expect(numbers(next.get("bn.running_mean"))).toEqual([1, 1, 1, 1]);
    expect(numbers(next.get("bn.running_var"))).toEqual([6, 6, 6, 6]);
    expect(numbers(next.get("head.bias"))).toEqual([1, 1]);
    const only = averageSlices(small, state, [of(0, 1, 3), of(4, 9, 1)], "statistics");
    expect(only.get("head.bias")).toBe(state.get("head.bias"));
    expect(numbers(only.get("bn.running_var"))).toEqual([6, 6, 6, 6]);
  });
});

describe("rounds", () => {
  it("FedAvg of one client in one round is local training", async () => {
    const f = federation([client("a", 0.25, () => true)], { rounds: 1, width: 0.25, localEpochs: 2 });
    const { state } = await run("fedAvg", f);
    const [work] = f.clients;
    const settings = roundSettings(f, "narrow", 0);
    const network = narrow(target, 0.25);
    const samples = (work as Client).samples;
    const job = jobOf(
      f,
      {
        client: work as Client,
        part: "",
        network,
        samples,
        labels: dataset.labels.slice(),
        settings,
        exchange: network,
        initial: initialParameters(network, f.seed),
      },
      0,
    );
    const [alone] = await train([job]);
    for (const [name, value] of (alone as { parameters: Map<string, Tensor> }).parameters) {
      const got = numbers(state.get(name));
      for (const [i, expected] of numbers(value).entries()) expect(got[i], name).toBeCloseTo(expected, 4);
    }
  });

  it("FedProx with mu 0 is FedAvg bit for bit, and stays nearer to the start with a large one", async () => {
    const f = federation(two, { width: 0.25, rounds: 1 });
    const average = await run("fedAvg", f);
    expect(hex((await run("fedProx", federation(two, { width: 0.25, rounds: 1, mu: 0 }))).state)).toEqual(hex(average.state));
    const start = baselines.fedAvg.start(f);
    const way = (state: ReadonlyMap<string, Tensor>): number =>
      numbers(state.get("conv2.weight")).reduce(
        (sum, value, i) => sum + (value - (numbers(start.get("conv2.weight"))[i] as number)) ** 2,
        0,
      );
    const near = way((await run("fedProx", federation(two, { width: 0.25, rounds: 1, mu: 5 }))).state);
    expect(near).toBeGreaterThan(0);
    expect(near).toBeLessThan(way(average.state) / 2);
  });

  it("HeteroFL of clients of one width is FedAvg of that width, when they have equally many samples", async () => {
    const same = [client("a", 0.25, (_, i) => i % 2 === 0), client("b", 0.25, (_, i) => i % 2 === 1)];
    const hetero = await run("heteroFl", federation(same));
    expect(hex(hetero.state)).toEqual(hex((await run("fedAvg", federation(same, { width: 0.25 }))).state));
  });

  it("HeteroFL leaves the head's rows of absent classes to those who have them", async () => {
    const f = federation([client("a", 0.25, (label) => label < 2), client("b", 0.25, (label) => label > 0)], { rounds: 1 });
    const works: number[] = [];
    await runRounds(f, baselines.heteroFl, {
      train: (jobs) => {
        works.push(...jobs.map(({ labels }) => Math.max(...labels)));
        return train(jobs);
      },
    });
    expect(works).toEqual([1, 1]);
  });

  it("FedRolex trains every channel of the full target in the end; HeteroFL's server is as wide as its widest client", async () => {
    const f = federation(two, { rounds: 2 });
    const before = baselines.fedRolex.start(f);
    const { state } = await run("fedRolex", f);
    const rows = (t: ReadonlyMap<string, Tensor>): number[][] => {
      const { shape, data } = t.get("conv1.weight") as Tensor;
      const size = data.length / (shape[0] as number);
      return Array.from({ length: shape[0] as number }, (_, r) => [...(data as Float32Array).subarray(r * size, (r + 1) * size)]);
    };
    const changed = rows(state).map((row, r) => row.some((value, i) => value !== rows(before)[r]?.[i]));
    // 16 channels, windows of 8 and 4 from 0, then from 1.
    expect(changed).toEqual(Array.from({ length: 16 }, (_, r) => r < 9));
    expect(baselines.heteroFl.members(f, baselines.heteroFl.start(f))[0]?.network).toEqual(narrow(target, 0.5));
  });

  it("FjORD draws every width, and trains only the first channels of it", async () => {
    const drawn = new Set(Array.from({ length: 64 }, (_, i) => drawnShare(0, "a", i, 0, 0)));
    expect([...drawn].sort()).toEqual([0.25, 0.5, 0.75, 1]);
    const widths: number[] = [];
    await runRounds(federation(two, { rounds: 1, segments: 3 }), baselines.fjord, {
      train: (jobs) => {
        expect(new Set(jobs.flatMap(({ samples }) => [...samples])).size).toBe(40);
        widths.push(...jobs.map(({ network }) => (network.layers[0] as { outChannels: number }).outChannels));
        return train(jobs);
      },
    });
    expect(widths.length).toBe(6);
    expect(widths.every((width) => [1, 2, 3, 4, 6, 8].includes(width))).toBe(true);
  });

  it("Split-Mix splits the target by width; a client trains as many bases as it can afford, in turn", () => {
    const f = federation(two);
    const split = splitOf(f);
    expect(split).toMatchObject({ baseWidth: 0.25, bases: 4 });
    const macs = (width: number): number => networkCost(narrow(target, width)).macs;
    expect(two.map(split.perRound)).toEqual([1, Math.floor(macs(0.5) / macs(0.25))]);
    const seen = [0, 1, 2, 3].flatMap((round) => basesOf(split, two[0] as Client, 3, round));
    expect(seen.sort()).toEqual([0, 1, 2, 3]);
    expect(baselines.splitMix.members(f, baselines.splitMix.start(f))).toHaveLength(4);
  });

  it("goes on from any round with the same bytes", async () => {
    for (const name of ["fedRolex", "splitMix", "fjord"] as const) {
      const f = federation(two, { participation: 0.5, calibrate: true });
      let kept: Progress | undefined;
      const whole = await runRounds(f, baselines[name], {
        train,
        onRound: (_, progress) => {
          kept ??= progress;
        },
      });
      expect(kept?.done).toBe(1);
      const resumed = await run(name, f, kept);
      expect(hex(resumed.state)).toEqual(hex(whole.state));
      expect(resumed.ledger).toEqual(whole.ledger);
    }
  });

  it("draws the asked share of clients, at least one", () => {
    expect(participants(two, 0.1, 0, 0)).toHaveLength(1);
    expect(participants(two, 1, 0, 0)).toBe(two);
    expect(new Set(Array.from({ length: 20 }, (_, round) => participants(two, 0.5, 0, round)[0]?.id)).size).toBe(2);
  });

  it("calibration changes running statistics alone", async () => {
    const f = federation(two, { rounds: 1 });
    const [before, after] = [await run("fedAvg", f), await run("fedAvg", federation(two, { rounds: 1, calibrate: true }))];
    for (const [name, value] of before.state) {
      const same = JSON.stringify(numbers(value)) === JSON.stringify(numbers(after.state.get(name)));
      expect(same, name).toBe(!name.includes("running_"));
    }
  });

  it("charges three forwards of every sample, weights down and up, and the slowest client's time", async () => {
    const f = federation(two, { rounds: 2, localEpochs: 3 });
    const { ledger } = await run("heteroFl", f);
    const costs = two.map(({ widths }) => networkCost(narrow(target, widths)));
    const seconds = two.map(({ profile }, i) => {
      const macs = 3 * (costs[i]?.macs ?? 0) * 60 * 3 * 2;
      const bytes = 4 * ((costs[i]?.parameters ?? 0) + (costs[i]?.stateElements ?? 0)) * 2;
      expect(ledger.accounts[i]).toMatchObject({ id: two[i]?.id, rounds: 2, totalMacs: macs, bytesDown: bytes, bytesUp: bytes });
      return macs / profile.macsPerSecond + (16 * bytes) / profile.bandwidthBitsPerSecond;
    });
    expect(ledger.virtualSeconds).toBeCloseTo(Math.max(...seconds), 9);
  });
});

describe("every baseline", () => {
  for (const name of baselineNames) {
    it(`${name} learns the toy pictures, and its model answers`, async () => {
      const method = baselines[name];
      const f = federation(two, {
        rounds: 6,
        localEpochs: 2,
        width: name === "fedRolex" ? 1 : 0.5,
        members: 2,
        baseWidth: 0.5,
        calibrate: true,
      });
      const { state, ledger } = await run(name, f);
      expect(roundsOf(method, f)).toBe(method.oneShot ? 1 : 6);
      expect(ledger.accounts.every(({ totalMacs, bytesUp }) => totalMacs > 0 && bytesUp > 0)).toBe(true);
      const graph = compileEnsemble(method.members(f, state), method.combine, { classNames: dataset.classNames });
      await using session = await openSession(writeOnnx(graph, { batchAxis: "N" }));
      using samples = openSamples(toyDataset(60, 9));
      expect((await evaluateModel(session, samples)).accuracy).toBeGreaterThan(0.6);
    });
  }
});

describe("compileEnsemble", () => {
  it("averages probabilities, or logits", async () => {
    const members = [1, 2].map((seed) => ({ network: narrow(target, 0.25), parameters: initialParameters(narrow(target, 0.25), seed) }));
    const image = floats(
      "float32",
      [1, 1, 8, 8],
      Array.from({ length: 64 }, (_, i) => (7 * i) % 255),
    );
    const answer = async (of: typeof members, combine: "logits" | "probabilities"): Promise<Record<string, number[]>> => {
      await using session = await openSession(
        writeOnnx(compileEnsemble(of, combine, { classNames: dataset.classNames }), { batchAxis: "N" }),
      );
      const { logits, probabilities } = await session.run({ image });
      return { logits: numbers(logits), probabilities: numbers(probabilities) };
    };
    const alone = [await answer(members.slice(0, 1), "logits"), await answer(members.slice(1), "logits")];
    for (const what of ["logits", "probabilities"] as const) {
      const together = await answer(members, what);
      together[what]?.forEach((value, i) => {
        expect(value).toBeCloseTo(((alone[0]?.[what]?.[i] ?? 0) + (alone[1]?.[what]?.[i] ?? 0)) / 2, 5);
      });
      expect(together.probabilities?.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
    }
  });
});
