/**
 * The coordinator's process of `bench/fleet.mjs`: what `sheaf serve` starts, in a process of its own, which tells its parent what it takes.
 * Arguments: a JSON object { store, config, uses, tidyMs }. Messages in: `sample`, `collect` (collects garbage first), `stop`.
 */
import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { openLog } from "../../dist/coordinator/log.js";
import { startCoordinator } from "../../dist/fleet/coordinator.js";

const { store, config, uses, tidyMs } = JSON.parse(process.argv[2]);
const coordinator = await startCoordinator({
  store,
  host: "127.0.0.1",
  port: 0,
  tidyMs,
  log: openLog((line) => process.stderr.write(`${line}\n`), Date.now, "warn"),
});
const { runId } = await coordinator.ensureRun("load", config);
const { line } = await coordinator.joinLine(uses, 48);
const delay = monitorEventLoopDelay({ resolution: 10 });
delay.enable();

async function filesIn(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Files that should not be there any more: objects and uploads, other than models, older than two turns of tidying. */
async function leftovers() {
  const { runs, archive } = coordinator.live.state;
  const models = new Set([...runs.values(), ...archive.values()].flatMap(({ outputs = [] }) => outputs.map(({ sha256 }) => sha256)));
  const files = [...(await filesIn(join(store, "objects"))), ...(await filesIn(join(store, "uploads")))];
  const latest = Date.now() - 2 * tidyMs;
  const old = await Promise.all(
    files.map(async (path) => !models.has(basename(path)) && ((await stat(path).catch(() => undefined))?.mtimeMs ?? latest) < latest),
  );
  return old.filter(Boolean).length;
}

let peakBytes = 0;
const watching = setInterval(() => {
  peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
}, 500);

async function sample() {
  const { rss, heapUsed, external } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const { state, head } = coordinator.live;
  const lag = { p50Ms: delay.percentile(50) / 1e6, p99Ms: delay.percentile(99) / 1e6, maxMs: delay.max / 1e6 };
  delay.reset();
  const taken = {
    at: performance.now(),
    residentBytes: rss,
    peakBytes: Math.max(peakBytes, rss),
    heapBytes: heapUsed,
    externalBytes: external,
    cpuSeconds: (user + system) / 1e6,
    lag,
    handles: (await readdir("/proc/self/fd").catch(() => [])).length,
    objects: (await filesIn(join(store, "objects"))).length,
    files: (await filesIn(store)).length,
    leftovers: await leftovers(),
    logEntries: head.sequence,
    devices: state.devices.size,
    leases: state.leases.size,
    runs: state.runs.size + state.archive.size,
  };
  peakBytes = 0;
  return taken;
}

const phaseOf = (id) => coordinator.live.state.runs.get(id)?.phase;
const answers = {
  sample,
  async collect() {
    // What finalizers let go of is collected by the next turn.
    for (let i = 0; i < 3; i++) {
      globalThis.gc?.();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return sample();
  },
  /** Resolves when a run is in one of these phases, or there are so many devices. */
  async until({ run = runId, phases, devices }) {
    for (;;) {
      if (devices !== undefined && coordinator.live.state.devices.size >= devices) return phaseOf(run);
      if (phases?.includes(phaseOf(run))) return phaseOf(run);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  },
  create: async ({ name }) => (await coordinator.ensureRun(name, { ...config, seed: config.seed + Number(name.split("-")[1]) })).runId,
  reason: async ({ run }) => coordinator.live.state.runs.get(run)?.reason ?? "",
  archive: ({ run }) => coordinator.live.do({ type: "archiveRun", runId: run }),
  async stop() {
    clearInterval(watching);
    await coordinator.close();
    process.disconnect();
  },
};
process.on("message", async ({ id, type, ...rest }) => {
  try {
    const answer = await answers[type](rest);
    if (process.connected) process.send({ id, answer });
  } catch (error) {
    if (process.connected) process.send({ id, error: String(error?.stack ?? error) });
  }
});
const [address, token] = line.split(" ")[2].split("#");
process.send({ ready: true, url: address, token, runId });
// Nobody is left to work for.
process.once("disconnect", () => process.exit());
