#!/usr/bin/env node
/**
 * What a fleet costs its coordinator: one coordinator and many devices, all real but for training, on this machine.
 *
 *   npm run bench:fleet                                           1,000 devices, each training for 20 seconds
 *   npm run bench:fleet -- --agents 100,300,1000,3000,10000       what a device costs, and how that grows
 *   npm run bench:fleet -- --agents 200 --seconds 2 --soak 60     run after run for an hour; fails where memory, handles or files grow
 *
 * The coordinator is what `sheaf serve` starts, in a process of its own; the devices are agents of `sheaf join` over HTTP in --clients processes,
 * each with its own key and connections. A device sleeps for --seconds (half more or less) where it would train, and hands in weights of the right shapes,
 * which pass the gate; the model (head H0) is put together from them. --profile FOLDER writes the coordinator's CPU profile there. --json prints the
 * figures as JSON. CPU seconds are those of the whole coordinator process; what is "per device" is from its start to the finished model.
 */
import { execFileSync, fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { exponent, median } from "./fleet/fit.mjs";
import { merged } from "./fleet/latencies.mjs";

const { values } = parseArgs({
  options: {
    agents: { type: "string", default: "1000" },
    seconds: { type: "string", default: "20" },
    clients: { type: "string", default: "3" },
    seed: { type: "string", default: "1" },
    soak: { type: "string" },
    profile: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const sizes = values.agents.split(",").map(Number);
const [seconds, clients, seed] = [Number(values.seconds), Number(values.clients), Number(values.seed)];
const say = (text) => process.stderr.write(`${text}\n`);

/** A device has a connection, and a second one at times; the coordinator holds an end of each, and closes idle ones when there are many. */
const filesOf = (count) => 1.5 * count + 1000;
const openFiles = Number(execFileSync("sh", ["-c", "ulimit -n"], { encoding: "utf8" }));
const most = Math.max(...sizes);
if (filesOf(most) > openFiles) {
  say(
    `--agents ${most}: the coordinator may need ${filesOf(most)} open files, this shell allows ${openFiles}; raise that (ulimit -n) or ask for fewer.`,
  );
  process.exit(2);
}

const classes = Array.from({ length: 10 }, (_, i) => `class-${i}`);
/** Unreferenced objects are removed so soon in a soak, so that an hour sees many turns. */
const tidyMs = values.soak === undefined ? 3_600_000 : 120_000;

const configFor = (count) => ({
  seed,
  data: { name: "bench" },
  target: { network: "tiny" },
  training: { epochs: 1, batchSize: 32 },
  fleet: { width: 0.25 },
  head: "H0",
  // Of a machine with other work, nobody knows for how long it starves a process; leases that lapse are not what is measured here.
  serve: {
    minimumDevices: count,
    leaseSeconds: 600,
    samples: { classNames: classes, shape: { channels: 1, height: 16, width: 16 }, mean: [100], std: [50] },
  },
});

/** A child process that answers messages. */
function openChild(file, argument, options = {}) {
  const child = fork(fileURLToPath(new URL(`./fleet/${file}`, import.meta.url)), [JSON.stringify(argument)], {
    serialization: "advanced",
    ...options,
  });
  const waiting = new Map();
  let next = 0;
  let onReady;
  const ready = new Promise((resolve, reject) => {
    onReady = resolve;
    child.once("exit", (code) => reject(new Error(`${file} ended with status ${code}`)));
  });
  ready.catch(() => {});
  child.on("message", ({ id, answer, error, ...rest }) => {
    if (id === undefined) return onReady(rest);
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    error === undefined ? resolve(answer) : reject(new Error(error));
  });
  child.once("exit", (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`${file} ended with status ${code}`));
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  return {
    ready,
    ended,
    ask: (type, rest = {}) =>
      new Promise((resolve, reject) => {
        waiting.set(next, { resolve, reject });
        child.send({ id: next++, type, ...rest });
      }),
  };
}

/** A coordinator and its devices, at work on a run. */
async function openFleet(count) {
  const store = await mkdtemp(join(tmpdir(), "sheaf-bench-fleet-"));
  const profile = values.profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${values.profile}`];
  const coordinator = openChild(
    "coordinator.mjs",
    { store, config: configFor(count), uses: count, tidyMs },
    { execArgv: ["--expose-gc", ...profile] },
  );
  const { url, token, runId } = await coordinator.ready;
  const before = await coordinator.ask("collect");
  const share = Math.ceil(count / clients);
  const devices = Array.from({ length: Math.ceil(count / share) }, (_, i) =>
    openChild("devices.mjs", {
      url,
      token,
      first: i * share,
      count: Math.min(share, count - i * share),
      seconds,
      seed,
      address: `127.0.0.${i + 2}`,
      classes,
    }),
  );
  const take = async (type = "take") => {
    const parts = await Promise.all(devices.map(({ ask }) => ask(type)));
    const failures = parts.flatMap((part) => part.failures);
    if (failures.length > 0) throw new Error(`${parts.reduce((sum, { failed }) => sum + failed, 0)} devices failed: ${failures[0]}`);
    const sum = (name) => parts.reduce((all, { counts }) => all + counts[name], 0);
    return {
      routes: merged(parts.map(({ latencies }) => latencies)),
      counts: Object.fromEntries(Object.keys(parts[0].counts).map((name) => [name, sum(name)])),
    };
  };
  return {
    coordinator,
    runId,
    before,
    take,
    async close() {
      await take("stop");
      await coordinator.ask("stop").catch(() => {});
      await coordinator.ended;
      await rm(store, { recursive: true, force: true });
    },
  };
}

const megabytes = (bytes) => (bytes / 2 ** 20).toFixed(0);
const total = (routes) => Object.values(routes).reduce((sum, { count }) => sum + count, 0);

/** Adds up what two moments of the coordinator tell. */
const between = (from, to) => ({
  seconds: (to.at - from.at) / 1000,
  cpuSeconds: to.cpuSeconds - from.cpuSeconds,
  peakBytes: to.peakBytes,
  lag: to.lag,
});

async function measure(count) {
  const fleet = await openFleet(count);
  const { coordinator, before, runId } = fleet;
  const phases = {};
  let last = await coordinator.ask("sample");
  const mark = async (name) => {
    const now = await coordinator.ask("sample");
    phases[name] = between(last, now);
    last = now;
  };
  await coordinator.ask("until", { devices: count });
  await mark("enrol");
  await coordinator.ask("until", { phases: ["assemble", "finished", "failed"] });
  await mark("train");
  const phase = await coordinator.ask("until", { phases: ["finished", "failed"] });
  await mark("assemble");
  if (phase !== "finished") throw new Error(`The run of ${count} devices has ended as ${phase}.`);
  const { routes, counts } = await fleet.take();
  const after = await coordinator.ask("collect");
  await fleet.close();
  const parts = Object.values(phases);
  const cpuSeconds = parts.reduce((sum, part) => sum + part.cpuSeconds, 0);
  const wall = parts.reduce((sum, part) => sum + part.seconds, 0);
  const peakBytes = Math.max(...parts.map((part) => part.peakBytes));
  return {
    devices: count,
    runId,
    wallSeconds: wall,
    requests: total(routes),
    requestsPerSecond: total(routes) / wall,
    requestsPerCpuSecond: total(routes) / cpuSeconds,
    cpuSeconds,
    cpuMillisecondsPerDevice: (1000 * cpuSeconds) / count,
    startBytes: before.residentBytes,
    peakBytes,
    endBytes: after.residentBytes,
    heapBytes: after.heapBytes,
    kilobytesPerDevice: (after.heapBytes - before.heapBytes) / 1024 / count,
    peakKilobytesPerDevice: (peakBytes - before.residentBytes) / 1024 / count,
    handles: last.handles,
    objects: after.objects,
    files: after.files,
    logEntries: after.logEntries,
    phases,
    routes,
    counts,
  };
}

function print(result) {
  const { devices, phases, routes, counts } = result;
  console.log(
    `\n${devices} devices: ${result.requests} requests in ${result.wallSeconds.toFixed(1)} s (${result.requestsPerSecond.toFixed(0)}/s);`,
  );
  console.log(
    `coordinator ${result.cpuSeconds.toFixed(1)} s of CPU, ${result.cpuMillisecondsPerDevice.toFixed(1)} ms a device, ${result.requestsPerCpuSecond.toFixed(0)} requests per CPU second`,
  );
  console.log(
    `memory ${megabytes(result.startBytes)} MB at the start, ${megabytes(result.peakBytes)} at the peak, ${megabytes(result.endBytes)} at the end (heap ${megabytes(result.heapBytes)}): ${result.kilobytesPerDevice.toFixed(1)} KiB of heap a device`,
  );
  console.log(
    `${result.handles} handles, ${result.objects} objects, ${result.files} files, ${result.logEntries} log entries; ${JSON.stringify(counts)}`,
  );
  console.table(
    Object.fromEntries(
      Object.entries(phases).map(([name, { seconds: s, cpuSeconds, lag }]) => [
        name,
        {
          seconds: s.toFixed(1),
          "CPU s": cpuSeconds.toFixed(2),
          "lag p50 ms": lag.p50Ms.toFixed(1),
          "lag p99 ms": lag.p99Ms.toFixed(1),
          "lag max ms": lag.maxMs.toFixed(0),
        },
      ]),
    ),
  );
  console.table(
    Object.fromEntries(
      Object.entries(routes).map(([name, { count, p50Ms, p99Ms, maxMs }]) => [
        name,
        { requests: count, "p50 ms": p50Ms.toFixed(1), "p99 ms": p99Ms.toFixed(1), "max ms": maxMs.toFixed(0) },
      ]),
    ),
  );
}

async function grow() {
  const results = [];
  for (const size of sizes) {
    const result = await measure(size);
    results.push(result);
    if (!values.json) print(result);
  }
  const of = (value) => exponent(results.map((result) => [result.devices, value(result)]));
  const growth =
    results.length < 2
      ? undefined
      : { cpu: of(({ cpuSeconds }) => cpuSeconds), memory: of(({ peakBytes, startBytes }) => peakBytes - startBytes) };
  if (values.json) console.log(JSON.stringify({ machine: cpus()[0]?.model, seconds, clients, seed, results, growth }));
  else if (growth)
    console.log(
      `\nCPU grows by the power ${growth.cpu.toFixed(2)} of the devices, memory at the peak by ${growth.memory.toFixed(2)}; 1 is linear.`,
    );
}

/** What must not grow: by how much of itself, or by how much at all, whichever is more, from the second quarter of the soak to the last. */
const bounds = {
  heapBytes: { share: 0.1, least: 8 * 2 ** 20 },
  residentBytes: { share: 0.15, least: 32 * 2 ** 20 },
  handles: { share: 0.02, least: 3 },
  leftovers: { share: 0.1, least: 20 },
};

async function soak(minutes) {
  const [count] = sizes;
  const fleet = await openFleet(count);
  const { coordinator } = fleet;
  const until = performance.now() + 60_000 * minutes;
  const samples = [];
  let run = fleet.runId;
  let requests = 0;
  let worst = {};
  for (let cycle = 1; ; cycle++) {
    const phase = await coordinator.ask("until", { run, phases: ["finished", "failed"] });
    if (phase !== "finished") throw new Error(`Run ${cycle} has ended as ${phase}: ${await coordinator.ask("reason", { run })}`);
    await coordinator.ask("archive", { run });
    const { routes, counts } = await fleet.take();
    requests += total(routes);
    worst = Object.fromEntries(Object.entries(routes).map(([name, { p99Ms }]) => [name, Math.max(p99Ms, worst[name] ?? 0)]));
    const sample = await coordinator.ask("collect");
    samples.push(sample);
    const { residentBytes, heapBytes, handles, files, leftovers } = sample;
    if (!values.json)
      say(
        `run ${cycle}: resident ${megabytes(residentBytes)} MB, heap ${megabytes(heapBytes)} MB, ${handles} handles, ${files} files of which ${leftovers} should be gone, ${requests} requests, ${counts.refused} refused`,
      );
    if (performance.now() >= until) break;
    run = await coordinator.ask("create", { name: `load-${cycle}` });
  }
  await fleet.close();
  // The first quarter fills caches and pools. After that medians of two quarters are compared, not a line through all: what the allocator holds of memory that
  // was given back wanders with the load of the machine by tens of megabytes over many runs, so that neighbours are not independent and a line's standard
  // error says nothing. What is lost in each run moves the median of the last quarter for certain.
  const quarter = Math.max(1, Math.floor(samples.length / 4));
  const [early, late] = [samples.slice(quarter, 2 * quarter), samples.slice(-quarter)];
  const hours = (median(late.map(({ at }) => at)) - median(early.map(({ at }) => at))) / 3_600_000;
  const runsBetween = samples.length - 2 * quarter;
  const grown = Object.entries(bounds).map(([name, { share, least }]) => {
    const [before, after] = [early, late].map((part) => median(part.map((sample) => sample[name])));
    const by = after - before;
    return { name, before, after, perHour: by / hours, perRun: by / runsBetween, failed: by > Math.max(least, share * before) };
  });
  const result = {
    devices: count,
    minutes,
    runs: samples.length,
    requests,
    worstP99Ms: worst,
    logEntries: samples.at(-1).logEntries,
    grown,
  };
  if (values.json) console.log(JSON.stringify({ ...result, samples }));
  else {
    console.log(`${result.runs} runs of ${count} devices in ${minutes} minutes, ${requests} requests, ${result.logEntries} log entries`);
    for (const { name, before, after, perHour, perRun, failed } of grown)
      console.log(
        `${failed ? "GROWS" : "steady"} ${name}: ${before.toFixed(0)} in the second quarter, ${after.toFixed(0)} in the last (${perHour.toFixed(0)} an hour, ${perRun.toFixed(1)} a run)`,
      );
  }
  if (grown.some(({ failed }) => failed)) process.exitCode = 1;
}

await (values.soak === undefined ? grow() : soak(Number(values.soak)));
