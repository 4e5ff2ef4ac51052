/** Writes what people and programs read of a run: report, model card, metrics, result, manifest. */
import { modelCard } from "../report/modelCard.ts";
import { renderReport } from "../report/page.ts";
import type { ReportData } from "../report/reportData.ts";
import { sha256HexOfFile } from "../util/hash.node.ts";
import { type RunDirectory, runFiles } from "./directory.ts";
import { commitOf, machineFacts, sheafVersion } from "./machine.ts";
import { reportOf } from "./reportOf.ts";
import type { RunOutcome, RunResult } from "./result.ts";

const pretty = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** One line per job and epoch. */
function metricsCsv(curves: ReportData["curves"]): string {
  const rows = curves.flatMap(({ id, points }) => points.map((p) => [id, p.epoch, p.step, p.loss, p.accuracy, p.learningRate].join(",")));
  return `${["job,epoch,step,loss,accuracy,learningRate", ...rows].join("\n")}\n`;
}

/** Report, card, metrics and report data of a run or a single training. */
export async function writeReportFiles(data: ReportData, directory: RunDirectory): Promise<void> {
  await directory.write(runFiles.reportData, pretty(data));
  await directory.write(runFiles.report, renderReport(data));
  await directory.write(runFiles.card, modelCard(data));
  await directory.write(runFiles.metrics, metricsCsv(data.curves));
}

const manifestFiles = [
  runFiles.config,
  runFiles.model,
  runFiles.metrics,
  runFiles.reportData,
  runFiles.report,
  runFiles.card,
  runFiles.result,
];

/** The manifest: hashes of what was written, versions, seed and machine; last, so that its presence says that the run is whole. */
export async function writeManifest(
  directory: RunDirectory,
  facts: { readonly seed: number; readonly commandLine: string; readonly commit: string | undefined },
  files: readonly string[] = manifestFiles,
): Promise<void> {
  const hashes: Record<string, string> = {};
  for (const name of files) hashes[name] = await sha256HexOfFile(directory.at(name), "run file");
  await directory.write(
    runFiles.manifest,
    pretty({ format: "sheaf-manifest/1", sheafVersion, ...facts, date: new Date().toISOString(), machine: machineFacts(), files: hashes }),
  );
}

/** Everything of a finished run. */
export async function writeReports(outcome: RunOutcome, result: RunResult, directory: RunDirectory, commandLine: string): Promise<void> {
  const commit = await commitOf();
  const context = { commandLine, commit, date: new Date().toISOString().slice(0, 10) };
  await writeReportFiles(await reportOf(outcome, result, context), directory);
  await directory.write(runFiles.result, pretty(result));
  await writeManifest(directory, { seed: outcome.config.seed, commandLine, commit });
}
