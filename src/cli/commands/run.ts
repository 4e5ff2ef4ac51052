/** `sheaf run` and `sheaf quickstart`: the whole pipeline on one machine. */
import { join } from "node:path";
import type { RunResult } from "../../run/result.ts";
import { formatBytes, formatCount, formatDuration, formatPercent, formatRatio, table } from "../../util/format.ts";
import type { CommandSpec } from "../command.ts";
import { folderName, runInFolder } from "../runFolder.ts";
import type { Terminal } from "../terminal.ts";

/** The short table at the end of a run. */
function printResult(terminal: Terminal, result: RunResult): void {
  const { bold, green, dim } = terminal.colors;
  const labels = {
    central: "central (the full target, all data)",
    slim: "slim (one sub-model width, all data)",
    H0: "H0 sum of log-probabilities",
    H1: "H1 recentred and rescaled",
    H2: "H2 ridge on pooled features",
    H3: "H3 ridge on features and scores",
    H4: "H4 ridge on a random expansion",
    H5: "H5 linear discriminant",
  };
  // Where classes have unequal numbers of samples, the mean of their accuracies stands beside.
  const uneven = Object.entries(result.accuracy).some(
    ([id, value]) => Math.abs(value - (result.balancedAccuracy[id as "H0"] ?? value)) > 5e-4,
  );
  const title = result.evaluatedOn === "test" ? "Test accuracy" : "Validation accuracy";
  terminal.print(bold(`\n${title}${uneven ? ", and mean of the classes" : ""}`));
  const rows = (Object.keys(labels) as (keyof typeof labels)[]).flatMap((id) => {
    const accuracy = result.accuracy[id];
    if (accuracy === undefined) return [];
    const balanced = uneven ? [formatPercent(result.balancedAccuracy[id] ?? 0)] : [];
    return [[`  ${labels[id]}${id === result.head ? green("  ← model.onnx") : ""}`, formatPercent(accuracy), ...balanced]];
  });
  terminal.print(table(rows, { align: ["left", "right", "right"] }));
  printLost(terminal, result);
  terminal.print(bold("\nComputation of each device"));
  terminal.print(
    table([
      ["  device", "computed", "full target", "times less", "down", "up"],
      ...result.compute.byDevice.map((d) => [
        `  ${d.id}`,
        `${formatCount(d.totalMacs)}MAC`,
        `${formatCount(d.fullTargetMacs)}MAC`,
        formatRatio(d.ratio),
        formatBytes(d.bytesDown),
        formatBytes(d.bytesUp),
      ]),
    ]),
  );
  const { min, median, max } = result.compute.ratio;
  terminal.print(
    dim(
      `  least ${formatRatio(min)}, median ${formatRatio(median)}, most ${formatRatio(max)}; bytes moved: ${formatBytes(result.bytes.down)} down, ${formatBytes(result.bytes.up)} up`,
    ),
  );
  terminal.print(
    `\nModel   ${result.model} (${formatBytes(result.bytes.model)})\nReport  ${result.report}\nTook    ${formatDuration(result.seconds * 1e3)}`,
  );
}

/** Mean accuracy by number of devices lost. */
function printLost(terminal: Terminal, { lostDevices }: RunResult): void {
  if (lostDevices.length === 0) return;
  terminal.print(terminal.colors.bold("\nAccuracy with devices lost, mean over the sets tried"));
  const sizes = [...new Set(lostDevices.map(({ devices }) => devices.length))];
  const mean = (size: number, head: "H0" | "H2"): string => {
    const sets = lostDevices.filter(({ devices }) => devices.length === size);
    return formatPercent(sets.reduce((sum, set) => sum + set[head], 0) / sets.length);
  };
  terminal.print(
    table([["  lost", "H0", "H2"], ...sizes.map((size) => [`  ${size}`, mean(size, "H0"), mean(size, "H2")])], {
      align: ["left", "right", "right"],
    }),
  );
}

export const run: CommandSpec = {
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
    "workers",
  ],
  examples: [
    ["run --data-set glyphs --network tiny --epochs 3 --out runs/first", "something small"],
    ["run --network vgg11 --sub-width 0.28 --classes-per-device 2 --out runs/vgg", "five devices of two classes each, the same width"],
    ["run --config fleet.yaml --set fleet.redundancy=2 --json", "your own fleet, overlapping task sets"],
    ["run --out runs/vgg --resume", "go on after an interruption, with the settings that it began with"],
  ],
  async run(invocation) {
    const config = await invocation.config();
    const { run: runAll } = await import("../../run/run.ts");
    await runInFolder(invocation, config, folderName(config), runAll, printResult);
  },
};

/** Settings of the quick start: small enough for three minutes on two cores, large enough to mean something. */
const quickstartDefaults = {
  target: { network: "vgg11", width: 0.5 },
  data: { trainCount: 5_000, testCount: 2_000 },
  // A wide network is slow to start at a high rate, and five short passes leave it no time.
  training: { epochs: 5, schedule: { learningRate: 0.02 } },
  // Each class in three task sets: more classes for a device mean less background to its own samples, and so a wider sub-model
  // for the same ratio.
  fleet: { learningRate: 0.05, redundancy: 3 },
};

export const quickstart: CommandSpec = {
  flags: ["trainCount", "testCount", "network", "width", "epochs", "workers"],
  examples: [
    ["quickstart", "CIFAR-10 when it is at hand, otherwise the embedded glyphs"],
    ["quickstart --data-set glyphs --out runs/demo", "always the embedded glyphs"],
  ],
  async run(invocation) {
    const first = await invocation.config(quickstartDefaults);
    const { writePng } = await import("../../data/images.node.ts");
    const { openSamples } = await import("../../data/samples.node.ts");
    const { loadData, settleDataName } = await import("../../run/loadData.ts");
    const { run: runAll } = await import("../../run/run.ts");
    const name = await settleDataName(first.data.name, invocation.options.data);
    const config = await invocation.config({
      ...quickstartDefaults,
      data: { ...quickstartDefaults.data, name },
      // Mirrored glyphs are other symbols.
      training: { ...quickstartDefaults.training, augmentation: { flip: name !== "glyphs" } },
    });
    invocation.terminal.note(
      `Five virtual devices of different strength each train their own part of ${config.target.network} on ${name}, alone; then the parts are glued.`,
    );
    const result = await runInFolder(invocation, config, "quickstart", runAll, printResult);
    const { test } = await loadData(config, invocation.options);
    using samples = openSamples(test);
    const image = join(result.out, `${test.classNames[test.labels[0] ?? 0]}.png`);
    await writePng(image, samples.record(0) as Uint8Array, test.shape);
    invocation.terminal.print(
      `\nTry the model on a test image, or on one of your own:\n  npm run --silent sheaf -- predict ${result.model} ${image}`,
    );
  },
};
