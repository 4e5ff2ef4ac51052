/** What a simulation leaves in a folder. */
import { join } from "node:path";
import { writeFileAtomic } from "../util/files.node.ts";
import { canonicalJson } from "../util/json.ts";
import { coverageChart } from "./coverageChart.ts";
import type { Growth } from "./growth.ts";
import type { SimulationResult } from "./outcome.ts";
import { formatTrace, type Trace } from "./trace.ts";

/** Writes the result, its curve as CSV and SVG, and the trace, which `--arrivals` reads. Throws `storage`. */
export async function writeSimulation(folder: string, result: SimulationResult, trace: Trace): Promise<void> {
  const rows = result.coverage.map(({ seconds, branches, classes }) => `${seconds},${branches},${classes}`);
  await writeFileAtomic(join(folder, "simulation.json"), `${canonicalJson(result)}\n`);
  await writeFileAtomic(join(folder, "coverage.csv"), `${["seconds,branches,classes", ...rows].join("\n")}\n`);
  await writeFileAtomic(join(folder, "coverage.svg"), coverageChart(result));
  await writeFileAtomic(join(folder, "trace.csv"), formatTrace(trace));
}

/** Writes how the cost grows, a row for each part. Throws `storage`. */
export async function writeGrowth(folder: string, sizes: readonly number[], growth: readonly Growth[]): Promise<void> {
  const head = ["what", ...sizes.map((n) => `cpuMs${n}`), "exponent", "overLinearFrom"];
  const rows = growth.map(({ what, cpuMs, exponent, overLinearFrom }) => [
    what,
    ...cpuMs.map((ms) => ms.toFixed(3)),
    exponent.toFixed(3),
    overLinearFrom ?? "",
  ]);
  await writeFileAtomic(join(folder, "growth.csv"), `${[head, ...rows].map((row) => row.join(",")).join("\n")}\n`);
}
