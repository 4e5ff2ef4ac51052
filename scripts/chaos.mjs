/**
 * Kills runs at seeded random moments with `kill -9`, resumes them, and compares `model.onnx` with that of a run left in peace:
 *   npm run chaos -- [--kills 24] [--seed 1]
 * The tests in test/e2e use the same functions with fewer kills.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const command = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

/** Phases of a run in their order: the line on stderr that begins one, and for how long (at most) after it the kill may come. */
export const moments = [
  { name: "start", pattern: /^/, withinMs: 900 },
  { name: "training", pattern: /epoch \d/, withinMs: 700 },
  { name: "end of a job", pattern: /trained in/, withinMs: 40 },
  { name: "harvest", pattern: /central +trained in/, withinMs: 300 },
  { name: "statistics", pattern: /Statistics pass/, withinMs: 150 },
  { name: "heads", pattern: /H0 +test accuracy/, withinMs: 80 },
  { name: "writing", pattern: /H2 +test accuracy/, withinMs: 60 },
  { name: "report", pattern: /central +test accuracy/, withinMs: 100 },
];

/**
 * A moment inside the writing of a file: the process (a worker thread included) kills itself just before it would put the `count`-th
 * file into its place, when the new content lies beside the old.
 */
export const beforeRename = (count) => ({ name: `file ${count}`, pattern: undefined, withinMs: 0, beforeRename: count });

const killBeforeRename = (count) => {
  const script = `import fs from "node:fs/promises";import{syncBuiltinESMExports}from"node:module";let left=${count};const{rename}=fs;
fs.rename=(...paths)=>{if(--left===0)process.kill(process.pid,"SIGKILL");return rename(...paths)};syncBuiltinESMExports();`;
  return `--import data:text/javascript,${encodeURIComponent(script)}`;
};

/** Uniform numbers in [0, 1) from a seed (mulberry32). */
export function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const sha256Of = (path) => createHash("sha256").update(readFileSync(path)).digest("hex");

/** Runs the command; at `moment` (plus a part of its time) it is killed. Resolves to whether it was, and how it ended otherwise. */
function runUntil(args, moment, delayMs) {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, NO_COLOR: "1" };
    if (moment?.beforeRename) env.NODE_OPTIONS = killBeforeRename(moment.beforeRename);
    const child = spawn(process.execPath, [command, ...args], { stdio: ["ignore", "ignore", "pipe"], env });
    let text = "";
    let timer;
    const look = () => {
      if (moment?.pattern && timer === undefined && moment.pattern.test(text)) timer = setTimeout(() => child.kill("SIGKILL"), delayMs);
    };
    look();
    child.stderr.setEncoding("utf8").on("data", (more) => {
      text += more;
      look();
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (signal === "SIGKILL") resolve(true);
      else if (code === 0) resolve(false);
      else reject(new Error(`sheaf ${args.join(" ")} ended with ${code ?? signal}:\n${text}`));
    });
  });
}

/** What must hold of a run directory at any moment; throws where it does not. */
function checkDirectory(out, expectedSha256, finishedBefore) {
  if (!existsSync(out)) return;
  const names = readdirSync(out);
  for (const name of names.filter((n) => n.endsWith(".json"))) JSON.parse(readFileSync(join(out, name), "utf8"));
  if (names.includes("events.jsonl")) {
    const lines = readFileSync(join(out, "events.jsonl"), "utf8").split("\n").slice(0, -1);
    for (const line of lines) JSON.parse(line);
  }
  if (names.includes("model.onnx") && sha256Of(join(out, "model.onnx")) !== expectedSha256)
    throw new Error(`${out}/model.onnx is not whole`);
  for (const [name, hash] of finishedBefore) {
    if (sha256Of(join(out, "checkpoints", name)) !== hash) throw new Error(`${out}/checkpoints/${name} changed after its job had finished`);
  }
}

function finishedIn(out) {
  const folder = join(out, "checkpoints");
  if (!existsSync(folder)) return new Map();
  const names = readdirSync(folder).filter((name) => name.endsWith(".safetensors") && !name.startsWith("."));
  return new Map(names.map((name) => [name, sha256Of(join(folder, name))]));
}

/**
 * One run into `out`, killed at the given moments one after another, then resumed to its end.
 * Resolves to the names of the moments at which it was really killed (a run that is past a moment is not).
 * Throws when a resumption fails, the directory is ever broken, or the model is not the expected one.
 */
export async function killAndResume({ args, out, atMoments, random, expectedSha256 }) {
  const killed = [];
  let finished = new Map();
  for (const moment of [...atMoments, undefined]) {
    const wasKilled = await runUntil([...args, "--out", out, "--resume"], moment, moment ? random() * moment.withinMs : 0);
    checkDirectory(out, expectedSha256, finished);
    finished = finishedIn(out);
    if (!wasKilled) break;
    killed.push(moment.name);
  }
  const sha256 = sha256Of(join(out, "model.onnx"));
  if (sha256 !== expectedSha256)
    throw new Error(`${out}: after kills at ${killed.join(", ")} the model is ${sha256}, expected ${expectedSha256}`);
  const left = readdirSync(out, { recursive: true }).filter((name) => /\.tmp$|run\.lock$/.test(String(name)));
  if (left.length > 0) throw new Error(`${out}: left behind: ${left.join(", ")}`);
  return killed;
}

/** `count` moments: some in the order of the phases, some before a file is in its place. */
export function drawMoments(random, count) {
  const places = Array.from({ length: count }, () => Math.floor(random() * (moments.length + 3)));
  return places.sort((a, b) => a - b).map((place) => moments[place] ?? beforeRename(1 + Math.floor(random() * 25)));
}

/** Settings of the runs: a few seconds long, with checkpoints often. */
export const chaosArguments =
  "run --data-set glyphs --network tiny --epochs 2 --train-count 500 --test-count 200 --batch 32 --set fleet.width=0.5 --set checkpointSeconds=0.1".split(
    " ",
  );

async function main() {
  const { values } = parseArgs({ options: { kills: { type: "string", default: "24" }, seed: { type: "string", default: "1" } } });
  const wanted = Number(values.kills);
  const random = randomOf(Number(values.seed));
  const folder = mkdtempSync(join(tmpdir(), "sheaf-chaos-"));
  try {
    const peaceful = join(folder, "peaceful");
    await runUntil([...chaosArguments, "--out", peaceful], undefined, 0);
    const expectedSha256 = sha256Of(join(peaceful, "model.onnx"));
    console.log(`In peace: ${expectedSha256}`);
    const counts = new Map(moments.map(({ name }) => [name, 0]));
    counts.set("a file", 0);
    let kills = 0;
    for (let run = 1; kills < wanted; run++) {
      const out = join(folder, `run-${run}`);
      const killed = await killAndResume({
        args: [...chaosArguments, "--workers", String(1 + (run % 2))],
        out,
        atMoments: drawMoments(random, Math.min(6, wanted - kills)),
        random,
        expectedSha256,
      });
      for (const name of killed.map((n) => n.replace(/^file \d+$/, "a file"))) counts.set(name, counts.get(name) + 1);
      kills += killed.length;
      console.log(`Run ${run}: killed at ${killed.join(", ") || "no moment"}; the same model`);
      rmSync(out, { recursive: true });
    }
    console.log(`${kills} kills, the same bytes every time (${[...counts].map(([name, count]) => `${name} ${count}`).join(", ")})`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
