/**
 * Faults on purpose, from a seed, and the same bytes every time:
 *   npm run chaos -- [--what run|fleet|all] [--only NAME,...] [--kills 60] [--seed 1]
 * `run` kills runs on one machine, `fleet` does to a coordinator and its devices all that chaos/disturbances.mjs knows. Ends with a table of what was done.
 * The tests in test/e2e use the same functions in reduced form.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { disturb } from "./chaos/disturb.mjs";
import { disturbances, unmountAll } from "./chaos/disturbances.mjs";
import { killAll } from "./chaos/processes.mjs";
import { randomOf } from "./chaos/random.mjs";
import { tormentRuns } from "./chaos/singleRun.mjs";

/** Of each device's training: long enough to be disturbed in it. */
const epochs = 8;

const usage = "npm run chaos -- [--what run|fleet|all] [--only NAME,...] [--kills 60] [--seed 1] [--keep]";

function readOptions() {
  try {
    return parseArgs({
      options: {
        what: { type: "string", default: "all" },
        only: { type: "string" },
        kills: { type: "string", default: "60" },
        seed: { type: "string", default: "1" },
        keep: { type: "boolean", default: false },
        help: { type: "boolean", default: false, short: "h" },
      },
    }).values;
  } catch (error) {
    console.error(`${error.message}\nUsage: ${usage}`);
    process.exit(2);
  }
}

const values = readOptions();
if (values.help) {
  console.log(`Usage: ${usage}\n--only names some of ${Object.keys(disturbances).join(", ")}.`);
  process.exit(0);
}
const names = values.only?.split(",") ?? Object.keys(disturbances).filter((name) => name !== "peace");
const unknown = names.find((name) => !(name in disturbances));
if (!["run", "fleet", "all"].includes(values.what) || unknown !== undefined) {
  console.error(`--what is run, fleet or all; --only names some of ${Object.keys(disturbances).join(", ")}.`);
  process.exit(2);
}

const seed = Number(values.seed);
const folder = mkdtempSync(join(tmpdir(), "sheaf-chaos-"));
const rows = [];
const started = performance.now();
const seconds = (since) => `${Math.round((performance.now() - since) / 1000)} s`;
const list = (counts) => [...counts].map(([what, count]) => `${what} ${count}`).join(", ");

/** Runs a part and notes how it ended; one that fails does not keep the others from being tried. */
async function part(title, act) {
  const since = performance.now();
  try {
    const { done, result } = await act();
    rows.push([title, done, result, seconds(since)]);
  } catch (error) {
    rows.push([title, "", `FAILED: ${error.message.split("\n")[0]}`, seconds(since)]);
    console.error(`${title}: ${error.stack}`);
    process.exitCode = 1;
  } finally {
    await killAll();
  }
  console.log(rows.at(-1).filter(Boolean).join("; "));
}

const stop = async () => {
  await killAll();
  unmountAll();
  rmSync(folder, { recursive: true, force: true });
  process.exit(130);
};
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => void stop());
try {
  if (values.what !== "fleet") {
    await part("runs killed", async () => {
      const counts = await tormentRuns({
        folder: join(folder, "runs"),
        kills: Number(values.kills),
        random: randomOf(seed),
        report: console.log,
      });
      return { done: list(counts), result: "same bytes" };
    });
  }
  if (values.what !== "run") {
    const fleetOptions = (name) => ({ folder: join(folder, name), epochs, seed, kills: Number(values.kills), report: console.log });
    let expectedSha256;
    await part("in peace", async () => {
      const { sha256 } = await disturb(["peace"], fleetOptions("peace"));
      expectedSha256 = sha256;
      return { done: "", result: sha256 };
    });
    for (const name of expectedSha256 === undefined ? [] : names) {
      await part(disturbances[name].title, async () => {
        const { counts, collected, skipped } = await disturb([name], { ...fleetOptions(name), expectedSha256 });
        if (skipped.length > 0) return { done: "", result: `skipped: ${skipped[0].reason}` };
        return { done: list(counts), result: `same bytes, log verified, no orphans (${collected} collected)` };
      });
    }
  }
  console.log(`\nSeed ${seed}, ${seconds(started)}:`);
  console.log(["| disturbance | done | result | time |", "|---|---|---|---|", ...rows.map((row) => `| ${row.join(" | ")} |`)].join("\n"));
} finally {
  await killAll();
  if (values.keep) console.log(`Kept: ${folder}`);
  else rmSync(folder, { recursive: true, force: true });
}
