#!/usr/bin/env node
/**
 * Sheaf's training step against PyTorch's on this machine, in one sitting.
 *
 *   npm run build
 *   node bench/compare.mjs --pytorch PATH/pytorch_step.py [--python /usr/bin/python3] [--threads 1] [--batch 64] [--steps 9]
 *                          [--rounds 3] [--networks vgg11:1,vgg11:0.25,alexnet:1] [--core N] [--json]
 *
 * The PyTorch script takes --threads, --batch and --steps and prints a JSON line (network, width, ms) for each network it knows.
 * Every round runs the script once and then `sheaf bench step` for each of its networks, so that both engines meet the same
 * disturbances of a shared machine. The table shows the median and the least milliseconds over rounds, and the ratio of each:
 * below 1 Sheaf is faster. --core pins both engines to one processor core (Linux, `taskset`).
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";

const run = promisify(execFile);
const { values } = parseArgs({
  options: {
    pytorch: { type: "string" },
    python: { type: "string", default: "/usr/bin/python3" },
    threads: { type: "string", default: "1" },
    batch: { type: "string", default: "64" },
    steps: { type: "string", default: "9" },
    rounds: { type: "string", default: "3" },
    networks: { type: "string" },
    core: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
if (!values.pytorch) {
  process.stderr.write("compare: --pytorch PATH names the script that times PyTorch; see the head of bench/compare.mjs.\n");
  process.exit(2);
}

const cli = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const sizes = ["--threads", values.threads, "--batch", values.batch, "--steps", values.steps];
const wanted = values.networks?.split(",");

/** Runs a command, pinned where asked, and reads its lines of JSON. */
async function jsonLines(command, args) {
  const pinned = values.core === undefined ? [command, args] : ["taskset", ["-c", values.core, command, ...args]];
  const { stdout } = await run(...pinned, { maxBuffer: 2 ** 24 });
  return stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
}

const median = (numbers) => {
  const sorted = [...numbers].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};
const measured = new Map();
for (let round = 0; round < Number(values.rounds); round++) {
  for (const theirs of await jsonLines(values.python, [values.pytorch, ...sizes])) {
    const key = `${theirs.network}:${theirs.width}`;
    if (wanted && !wanted.includes(key)) continue;
    const network = ["--network", theirs.network, "--width", String(theirs.width)];
    const [ours] = await jsonLines(process.execPath, [cli, "bench", "step", ...network, ...sizes, "--json"]);
    const row = measured.get(key) ?? { theirs: [], ours: [], memory: 0 };
    row.theirs.push(theirs.ms);
    row.ours.push(ours.ms);
    row.memory = Math.max(row.memory, ours.memoryPeakBytes);
    measured.set(key, row);
  }
}

const rows = [...measured].map(([key, { theirs, ours, memory }]) => {
  const [network, width] = key.split(":");
  const [pytorchMs, sheafMs] = [median(theirs), median(ours)];
  const ratio = Number((sheafMs / pytorchMs).toFixed(3));
  const ratioOfLeast = Number((Math.min(...ours) / Math.min(...theirs)).toFixed(3));
  return { network, width: Number(width), pytorchMs, sheafMs, ratio, ratioOfLeast, memoryPeakBytes: memory };
});
if (values.json) {
  for (const row of rows) process.stdout.write(`${JSON.stringify(row)}\n`);
} else {
  const line = (...cells) => `${cells.map((cell, i) => (i === 0 ? String(cell).padEnd(9) : String(cell).padStart(13))).join("")}\n`;
  process.stdout.write(line("network", "width", "PyTorch ms", "Sheaf ms", "ratio", "of the least", "memory MiB"));
  for (const r of rows) {
    const cells = [r.width, r.pytorchMs.toFixed(2), r.sheafMs.toFixed(2), r.ratio.toFixed(2), r.ratioOfLeast.toFixed(2)];
    process.stdout.write(line(r.network, ...cells, Math.round(r.memoryPeakBytes / 2 ** 20)));
  }
}
