/** `sheaf simulate`: a live fleet in virtual time, to see what comes of it before anybody joins, and what it costs the coordinator. */
import { join } from "node:path";
import { InvalidArgumentError, Option } from "commander";
import type { Arrivals, Losses, Sessions } from "../../simulate/arrivals.ts";
import { describeGrowth, describeSimulation } from "../../simulate/describe.ts";
import { growths } from "../../simulate/growth.ts";
import type { SimulationResult } from "../../simulate/outcome.ts";
import type { Slowness } from "../../simulate/virtualFleet.ts";
import { readFileChecked, writeFileAtomic } from "../../util/files.node.ts";
import { formatDuration } from "../../util/format.ts";
import type { CommandSpec, Invocation } from "../command.ts";
import { hoursOf, wholeOf } from "../numbers.ts";

/** Fleets up to this size really train unless told otherwise. */
const largestReal = 16;
const hourMs = 3_600_000;
const tickMs = 1000;

function positiveOf(text: string | undefined, what: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError(`Expected ${what}, a number above 0.`);
  return value;
}

function shareOf(text: string | undefined): number {
  const value = Number(text);
  if (!text || !(value >= 0 && value <= 1)) throw new InvalidArgumentError("Expected a share, 0 to 1.");
  return value;
}

const sizesOf = (text: string): readonly number[] => text.split(",").map(wholeOf);

/** What is no law is the path of a trace. */
function arrivalsOf(text: string): Arrivals | string {
  const [type, perHour, ...rest] = text.split(":");
  if (type === "all-at-once" && perHour === undefined) return { type: "allAtOnce" };
  if (type === "poisson" && rest.length === 0) return { type: "poisson", perHour: positiveOf(perHour, "poisson:PER_HOUR") };
  return text;
}

function sessionsOf(text: string): Sessions {
  const [type, on, off, ...rest] = text.split(":");
  if ((type === "always" || type === "nights") && on === undefined) return { type };
  if (type !== "exponential" || rest.length > 0)
    throw new InvalidArgumentError("Expected always, nights or exponential:ON_HOURS:OFF_HOURS.");
  const what = "exponential:ON_HOURS:OFF_HOURS";
  return { type, onHours: positiveOf(on, what), offHours: positiveOf(off, what) };
}

function lossesOf(text: string): Losses {
  const [share, hours = "1"] = text.split(":");
  return { share: shareOf(share), hours: positiveOf(hours, "SHARE:HOURS") };
}

function slownessOf(text: string): Slowness {
  const [share, factor] = text.split(":");
  return { share: shareOf(share), factor: positiveOf(factor, "SHARE:FACTOR") };
}

function profilesOf(text: string): readonly { readonly name: string; readonly weight: number }[] {
  return text.split(",").map((entry) => {
    const [name = "", weight = "1"] = entry.trim().split(":");
    return { name, weight: positiveOf(weight, "NAME:WEIGHT") };
  });
}

const samplesOf = (text: string): number | "all" => (text === "all" ? "all" : wholeOf(text));

const options: readonly Option[] = [
  new Option(
    "--devices <list>",
    "how many; several, with commas between, to see how the cost grows; those of fleet.devices by default",
  ).argParser(sizesOf),
  new Option("--training <kind>", `whether devices really train; real up to ${largestReal} devices by default`).choices([
    "real",
    "stubbed",
  ]),
  new Option(
    "--profiles <list>",
    "profiles of the devices, NAME or NAME:WEIGHT with commas between; those of fleet.devices by default",
  ).argParser(profilesOf),
  new Option("--arrivals <when>", "all-at-once, poisson:PER_HOUR, or a trace: a CSV file")
    .argParser(arrivalsOf)
    .default({ type: "allAtOnce" }, "all-at-once"),
  new Option("--sessions <when>", "always, nights, or exponential:ON_HOURS:OFF_HOURS")
    .argParser(sessionsOf)
    .default({ type: "always" }, "always"),
  new Option("--lost <share>", "SHARE or SHARE:HOURS: lost for good, after so many hours on average")
    .argParser(lossesOf)
    .default({ share: 0, hours: 1 }, "0"),
  new Option("--slow-links <share>", "SHARE:FACTOR: so many times slower links, which the plan knows of")
    .argParser(slownessOf)
    .default({ share: 0, factor: 1 }, "0:1"),
  new Option("--stragglers <share>", "SHARE:FACTOR: so many times slower than they say")
    .argParser(slownessOf)
    .default({ share: 0, factor: 1 }, "0:1"),
  new Option("--samples <n>", "samples of each device, or all of the data set").argParser(samplesOf).default(500),
  new Option("--held-classes <n>", "classes that the samples of a device are of").argParser(wholeOf).default(5),
  new Option("--latency <ms>", "of an exchange with the coordinator").argParser((text) => positiveOf(text, "milliseconds")).default(50),
  new Option("--until <hours>", "virtual hours after which to stop").argParser(hoursOf).default(168),
];

async function simulateOnce(invocation: Invocation, size: number | undefined, folder: string | undefined): Promise<SimulationResult> {
  const { options, terminal, signal } = invocation;
  const { resolveProfile } = await import("../../plan/device.ts");
  const weighted = options.profiles as ReturnType<typeof profilesOf> | undefined;
  const profiles = weighted?.map(({ name, weight }) => ({ profile: resolveProfile(name), weight }));
  const config = await invocation.config();
  const given = options.arrivals as Arrivals | string;
  const { writeSimulation } = await import("../../simulate/files.ts");
  const { simulate: simulateRun } = await import("../../simulate/simulate.ts");
  const { parseTrace } = await import("../../simulate/trace.ts");
  const trace = typeof given === "string" ? parseTrace(new TextDecoder().decode(await readFileChecked(given, "trace")), given) : undefined;
  const deviceCount = trace?.size ?? size ?? config.fleet.devices.length;
  const held = options.samples as number | "all";
  let saidMs = Date.now();
  const { result, trace: drawn } = await simulateRun(config, {
    deviceCount,
    training: (options.training as "real" | "stubbed" | undefined) ?? (deviceCount <= largestReal ? "real" : "stubbed"),
    arrivals: typeof given === "string" ? { type: "allAtOnce" } : given,
    sessions: options.sessions as Sessions,
    losses: options.lost as Losses,
    slowLinks: options.slowLinks as Slowness,
    stragglers: options.stragglers as Slowness,
    holdings: held === "all" ? { type: "all" } : { type: "drawn", samples: held, classes: options.heldClasses as number },
    latencyMs: options.latency as number,
    tickMs,
    untilMs: (options.until as number) * hourMs,
    signal,
    ...(trace ? { trace } : {}),
    ...(profiles ? { profiles } : {}),
    ...(options.data === undefined ? {} : { dataFolder: options.data }),
    onProblem: (message) => terminal.note(message),
    onProgress: (seconds, run) => {
      if (Date.now() - saidMs < 10_000) return;
      saidMs = Date.now();
      terminal.note(`${formatDuration(1000 * seconds)} of virtual time: ${run.phase}, ${run.remaining} of ${run.tasks.size} tasks open`);
    },
    onModel: async (bytes) => {
      if (folder !== undefined) await writeFileAtomic(join(folder, "model.onnx"), bytes);
    },
  });
  if (folder !== undefined) await writeSimulation(folder, result, drawn);
  return result;
}

export const simulate: CommandSpec = {
  flags: [
    "trainCount",
    "testCount",
    "network",
    "width",
    "epochs",
    "batch",
    "learningRate",
    "subWidth",
    "redundancy",
    "classesPerDevice",
    "rho",
    "head",
  ],
  options,
  examples: [
    ["simulate --data-set glyphs --network tiny --epochs 2 --sessions exponential:1:2", "five devices that come and go, really training"],
    ["simulate --devices 200 --network vgg11 --arrivals poisson:50 --lost 0.1 --stragglers 0.1:20", "will this fleet do?"],
    ["simulate --devices 100,1000,10000 --head H0 --sub-width 0.25 --classes-per-device 2", "how the coordinator's cost grows"],
  ],
  async run(invocation) {
    const { options, terminal } = invocation;
    const { writeGrowth } = await import("../../simulate/files.ts");
    const sizes = (options.devices as readonly number[] | undefined) ?? [undefined];
    const simulations: SimulationResult[] = [];
    for (const size of sizes) {
      const folder = options.out === undefined || sizes.length === 1 ? options.out : join(options.out, String(size));
      const result = await simulateOnce(invocation, size, folder);
      simulations.push(result);
      terminal.print(`${simulations.length > 1 ? "\n" : ""}${describeSimulation(result)}`);
    }
    const growth = growths(simulations);
    if (growth.length > 0) {
      const measured = simulations.map(({ devices }) => devices.total).sort((a, b) => a - b);
      terminal.print(describeGrowth(measured, growth));
      if (options.out !== undefined) await writeGrowth(options.out, measured, growth);
    }
    terminal.printJson({ simulations, growth });
  },
};
