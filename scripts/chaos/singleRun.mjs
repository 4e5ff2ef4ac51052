/**
 * Runs on one machine, killed at seeded random moments with `kill -9`, resumed, and compared by `model.onnx` with a run left in peace.
 * The tests in test/e2e use the same functions with fewer kills than `npm run chaos`.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { startSheaf } from "./processes.mjs";
import { below } from "./random.mjs";

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

export const sha256Of = (path) => createHash("sha256").update(readFileSync(path)).digest("hex");

/** Runs the command; `delayMs` after `moment` it is killed. Resolves to whether it was; fails where it ended badly otherwise. */
async function runUntil(args, moment, delayMs) {
  const running = startSheaf(args, moment?.beforeRename ? { chaos: { killBeforeRename: moment.beforeRename } } : {});
  let timer;
  if (moment?.pattern) {
    const { index } = await running.firstOf(moment.pattern);
    if (index === 0) timer = setTimeout(() => running.signal("SIGKILL"), delayMs);
  }
  const { code, signal } = await running.ended;
  clearTimeout(timer);
  if (signal !== "SIGKILL" && code !== 0) throw new Error(`sheaf ${args.join(" ")} ended with ${code ?? signal}:\n${running.said()}`);
  return signal === "SIGKILL";
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
  const places = Array.from({ length: count }, () => below(random, moments.length + 3));
  return places.sort((a, b) => a - b).map((place) => moments[place] ?? beforeRename(1 + below(random, 25)));
}

/** Settings of the runs: a few seconds long, with checkpoints often. */
export const chaosArguments =
  "run --data-set glyphs --network tiny --epochs 2 --train-count 500 --test-count 200 --batch 32 --set fleet.width=0.5 --set checkpointSeconds=0.1".split(
    " ",
  );

/** `kills` kills in runs of some each, reported one by one. Resolves to how many there were at each moment. */
export async function tormentRuns({ folder, kills: wanted, random, report }) {
  const peaceful = join(folder, "peaceful");
  await runUntil([...chaosArguments, "--out", peaceful], undefined, 0);
  const expectedSha256 = sha256Of(join(peaceful, "model.onnx"));
  report(`in peace: ${expectedSha256}`);
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
    report(`run ${run}: killed at ${killed.join(", ") || "no moment"}; the same model`);
    rmSync(out, { recursive: true });
  }
  return counts;
}
