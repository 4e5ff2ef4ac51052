/** Searches the shape of narrow networks: the same budget spread over the layers in several ways, each trained from scratch and measured on validation samples. */
import { compileInference } from "../compile/deploy.ts";
import { openSamples } from "../data/samples.node.ts";
import { networkCost } from "../network/shapes.ts";
import { writeOnnx } from "../onnx/write.ts";
import { candidateProfile, type ShapeCandidate, shapeCandidates } from "../plan/shapeCandidates.ts";
import type { ShapeProfile } from "../plan/shapeRecipes.ts";
import { openSession } from "../runtime/session.node.ts";
import { evaluateModel, type Scores } from "../train/evaluate.ts";
import type { TrainingJob } from "../train/job.ts";
import type { RunConfig } from "./config.ts";
import { openRunDirectory, runFiles } from "./directory.ts";
import { audioInputOf, type LoadedData } from "./loadData.ts";
import { commitOf, sheafVersion } from "./machine.ts";
import { openRun } from "./openRun.ts";
import type { RunOptions } from "./options.ts";
import { controlJob } from "./prepare.ts";
import { subModelSettings } from "./trainingSettings.ts";
import { type FinishedJob, throwIfInterrupted, trainJobs } from "./trainJobs.ts";
import { writeManifest } from "./writeReports.ts";

/** A search, beside what a run is given. */
export interface ShapeSearchOptions extends RunOptions {
  /** How many times less than the target the narrow networks compute. */
  readonly ratio: number;
  /** Names of shapes to try; see `candidateProfile`. */
  readonly candidates: readonly string[];
}

/** A shape that was tried. */
export interface TriedShape {
  /** What it was asked for as; several where they come to the same widths. */
  readonly names: readonly string[];
  /** Its exponent, or relative channels by layer: a value for `fleet.shape`. */
  readonly shape: ShapeProfile;
  readonly channels: Readonly<Record<string, number>>;
  readonly macs: number;
  readonly parameters: number;
  readonly ratio: number;
  /** Share of the validation samples. */
  readonly accuracy: number;
  readonly balancedAccuracy: number;
  readonly trainingAccuracy: number;
  readonly seconds: number;
}

/** The object that `sheaf shape --json` prints. */
export interface ShapeSearchResult {
  readonly format: "sheaf-shape/1";
  readonly network: string;
  readonly targetMacs: number;
  readonly ratio: number;
  readonly evaluatedOn: "validation";
  readonly epochs: number;
  /** In the order asked for. */
  readonly shapes: readonly TriedShape[];
  /** First name of the shape with the highest accuracy; of equals, of that with fewer MACs. */
  readonly best: string;
  readonly dataSet: { readonly name: string; readonly train: number; readonly validation: number };
  readonly seed: number;
  readonly seconds: number;
  readonly out: string;
}

const jobId = ({ names }: ShapeCandidate): string => `shape-${names[0]}`;

/** Shapes by name, and the configured one where that has no name of its own. */
function shapesOf(
  config: RunConfig,
  names: readonly string[],
  target: TrainingJob["network"],
): readonly (readonly [string, ShapeProfile])[] {
  const { shape } = config.fleet;
  const configured = typeof shape === "string" ? [] : [["configured", shape] as const];
  return [...names.map((name) => [name, candidateProfile(name, target)] as const), ...configured];
}

/** Accuracy of a trained candidate on the validation samples. */
async function measure(job: TrainingJob, parameters: FinishedJob["parameters"], { train, test }: LoadedData): Promise<Scores> {
  const graph = compileInference(job.network, parameters, { classNames: train.classNames, ...audioInputOf(train) });
  const session = await openSession(writeOnnx(graph, { batchAxis: "N" }), { name: job.id });
  using samples = openSamples(test);
  return await evaluateModel(session, samples).finally(() => session.dispose());
}

const better = (a: TriedShape, b: TriedShape): TriedShape =>
  b.accuracy > a.accuracy || (b.accuracy === a.accuracy && b.macs < a.macs) ? b : a;

/**
 * Trains each candidate with the settings of sub-models on all training samples and all classes, and measures it on validation samples, the set's own or a share of the
 * training samples; test samples are never looked at. Same directory, resumption and determinism as `trainOne`.
 * Throws `usage` on a candidate of no meaning, `config` on a ratio that no shape keeps, and what training throws.
 */
export async function searchShapes(options: ShapeSearchOptions): Promise<ShapeSearchResult> {
  const started = performance.now();
  const { onEvent, signal, out, ratio } = options;
  const given: RunConfig = { ...options.config, data: { ...options.config.data, evaluateOn: "validation" } };
  const { data, target: loaded, config } = await openRun({ ...options, config: given });
  const { train, test: validation } = data;
  const target = loaded.network;
  const candidates = shapeCandidates(target, shapesOf(config, options.candidates, target), ratio);
  const { workers: _, checkpointSeconds: __, ...same } = config;
  const method = { ratio, candidates: options.candidates };
  await using directory = await openRunDirectory(
    out,
    { kind: "shape", method, ...same, dataSha256: train.provenance.sha256 },
    options.resume ?? false,
  );
  await directory.log({ type: directory.resumed ? "resumed" : "started", version: sheafVersion });
  const settings = subModelSettings(config);
  const jobs = candidates.map((candidate) => ({ ...controlJob(config, train, jobId(candidate), candidate.network, "narrow"), settings }));
  const results = await trainJobs(jobs, directory, { ...options, config });
  throwIfInterrupted(signal, out);
  const shapes: TriedShape[] = [];
  for (const [i, { names, profile, channels, macs, parameters, ratio: found }] of candidates.entries()) {
    throwIfInterrupted(signal, out);
    const job = jobs[i] as TrainingJob;
    const trained = results.get(job.id) as FinishedJob;
    const { accuracy, balancedAccuracy } = await measure(job, trained.parameters, data);
    await directory.log({ type: "evaluated", id: job.id, accuracy });
    onEvent?.({ type: "evaluated", id: job.id, accuracy });
    const trainingAccuracy = trained.curve.at(-1)?.accuracy ?? 0;
    const seconds = trained.seconds;
    shapes.push({ names, shape: profile, channels, macs, parameters, ratio: found, accuracy, balancedAccuracy, trainingAccuracy, seconds });
  }
  const result: ShapeSearchResult = {
    format: "sheaf-shape/1",
    network: target.name,
    targetMacs: networkCost(target).macs,
    ratio,
    evaluatedOn: "validation",
    epochs: settings.epochs,
    shapes,
    best: shapes.reduce(better).names[0] as string,
    dataSet: { name: train.name, train: train.labels.length, validation: validation.labels.length },
    seed: config.seed,
    seconds: Math.round((performance.now() - started) / 100) / 10,
    out,
  };
  await directory.write(runFiles.result, `${JSON.stringify(result, null, 2)}\n`);
  const commandLine = options.commandLine ?? "sheaf shape";
  await writeManifest(directory, { seed: config.seed, commandLine, commit: await commitOf() }, [runFiles.config, runFiles.result]);
  await directory.log({ type: "finished" });
  return result;
}
