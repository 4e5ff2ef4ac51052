/**
 * A process of `bench/fleet.mjs` with many devices: the agents of `sheaf join` over HTTP, each with a key and connections of its own and its state in memory.
 * Only training is left out: a device sleeps and hands in weights of the right shapes that no other device has.
 * Argument: a JSON object { url, token, first, count, seconds, seed, address, classes }.
 */
import { setMaxListeners } from "node:events";
import { Agent, fetch } from "undici";
import { runAgent } from "../../dist/agent/agent.js";
import { patientBackoff } from "../../dist/agent/backoff.js";
import { join } from "../../dist/agent/link.js";
import { memoryState } from "../../dist/agent/state.js";
import { initialParameters } from "../../dist/compile/initialize.js";
import { defaultTiming } from "../../dist/protocol/retry.js";
import { sha256Hex } from "../../dist/util/hash.node.js";
import { canonicalJson } from "../../dist/util/json.js";
import { random } from "../../dist/util/random.js";
import { encodeSafetensors } from "../../dist/util/safetensors.js";
import { openLatencies } from "./latencies.mjs";

const { url, token, first, count, seconds, seed, address, classes } = JSON.parse(process.argv[2]);
const latencies = openLatencies();
const counts = { problems: 0, retries: 0, accepted: 0, refused: 0, dropped: 0 };
const stopping = new AbortController();
// Every device of the process listens to it.
setMaxListeners(0, stopping.signal);
// Each process calls from an address of its own, as fleets do: the coordinator counts rates by it.
const dispatcher = new Agent({ connections: null, pipelining: 1, localAddress: address, headersTimeout: 0, bodyTimeout: 0 });

/** Names of routes by method and the path without its parameter. */
function routeOf(method, address) {
  const path = new URL(address).pathname;
  const parts = path.split("/").slice(2);
  const last = parts.at(-1);
  if (parts[0] === "uploads") return parts.length > 1 ? "append upload" : "start upload";
  if (parts[0] === "objects") return "object";
  return last ?? `${method} ${path}`;
}

async function timedFetch(address, init) {
  const began = performance.now();
  const response = await fetch(address, { ...init, dispatcher });
  latencies.record(response.ok ? routeOf(init.method, address) : `refused ${response.status}`, performance.now() - began);
  return response;
}

const sleep = (ms, signal) =>
  new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });

const templates = new Map();
/** Weights for a network: drawn once for each, and different by one value for each device and task. */
function weightsFor({ network, taskId, seed: runSeed }) {
  const key = canonicalJson(network);
  if (!templates.has(key)) templates.set(key, initialParameters(network, 1));
  const parameters = new Map(templates.get(key));
  const [name, tensor] = [...parameters].find(([, { data }]) => data.length > 1);
  const own = tensor.data.slice();
  own[0] = random(runSeed, taskId, "weights").normal();
  parameters.set(name, { ...tensor, data: own });
  return encodeSafetensors(parameters);
}

/** In place of training. */
const doTask = (draw) => async (spec, tools) => {
  if (spec.kind !== "train") throw new Error(`This fleet only trains, got a task of kind ${spec.kind}.`);
  const milliseconds = 1000 * seconds * (0.5 + draw.uniform());
  const steps = Math.max(1, Math.round(milliseconds / 1000));
  for (let step = 0; step < steps; step++) {
    tools.onProgress({ phase: "training", progress: step / steps, step });
    await sleep(milliseconds / steps, tools.signal);
  }
  return {
    outputs: [{ role: "parameters", bytes: weightsFor(spec) }],
    measured: { seconds: milliseconds / 1000, macs: 1e9, samples: 100 },
    use: { ownSamples: 100, backgroundSamples: 25 },
  };
};

const onEvent = (event) => {
  if (event.type === "handedIn") counts[event.accepted ? "accepted" : "refused"]++;
  else if (event.type === "retrying") counts.retries++;
  else if (event.type === "problem") counts.problems++;
  else if (event.type === "dropped") counts.dropped++;
};

const timing = { ...defaultTiming, ...patientBackoff, sleep };
async function device(number) {
  const draw = random(seed, "device", number);
  const state = memoryState();
  const summary = {
    classNames: classes,
    counts: classes.map(() => 50 + draw.below(100)),
    sampleShape: { channels: 1, height: 16, width: 16 },
    fingerprint: sha256Hex(new TextEncoder().encode(`${seed}/${number}`)),
  };
  const { link } = await join({
    url,
    joinToken: token,
    state,
    name: `device-${String(number).padStart(5, "0")}`,
    summary,
    software: "sheaf/bench",
    fetch: timedFetch,
    timing,
    signal: stopping.signal,
    profile: async () => ({ macsPerSecond: 1e9 * (1 + draw.below(9)), memoryBytes: 2 ** 30, bandwidthBitsPerSecond: 1e7 }),
  });
  joined++;
  return runAgent({
    link,
    state,
    data: {},
    openSamples: () => {
      throw new Error("There are no samples.");
    },
    openSession: () => {
      throw new Error("Nothing is run.");
    },
    doTask: doTask(draw),
    limits: {},
    conditions: async () => ({ minuteOfDay: 0 }),
    timing,
    checkpointSeconds: 30,
    privateCounts: false,
    onEvent,
    signal: stopping.signal,
  });
}

let joined = 0;
const running = [];
const failures = [];
/** So many enrol at once. */
const atOnce = 32;
async function start() {
  for (let i = 0; i < count; i++) {
    while (running.length - joined - failures.length >= atOnce) await new Promise((resolve) => setTimeout(resolve, 2));
    running.push(device(first + i).catch((error) => failures.push(String(error?.stack ?? error))));
  }
}
const started = start();

const take = () => ({
  latencies: latencies.take(),
  counts: { ...counts },
  joined,
  failures: failures.slice(0, 3),
  failed: failures.length,
});
process.on("message", async ({ id, type }) => {
  if (type === "take") return process.send({ id, answer: take() });
  stopping.abort();
  await started;
  await Promise.all(running);
  process.send({ id, answer: take() }, () => process.exit(0));
});
// Nobody is left to work for.
process.once("disconnect", () => process.exit());
