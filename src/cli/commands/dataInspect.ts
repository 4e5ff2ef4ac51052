/** `sheaf data inspect`: what is in a data set, and what each device would hold of it. */
import { join } from "node:path";
import type { InspectData } from "../../report/inspectPage.ts";
import { writeFileAtomic } from "../../util/files.node.ts";
import { table } from "../../util/format.ts";
import type { CommandSpec } from "../command.ts";
import type { Terminal } from "../terminal.ts";
import { run } from "./run.ts";

/** Pictures of what was found, as SVG and PNG, and one page with all of it; gives the paths. */
async function writeFiles(data: InspectData, folder: string): Promise<readonly string[]> {
  const { svgToPng } = await import("../../data/images.node.ts");
  const { chartFile } = await import("../../report/charts/chartFile.ts");
  const { countsChart } = await import("../../report/charts/countsChart.ts");
  const { holdingsChart } = await import("../../report/charts/holdingsChart.ts");
  const { samplesChart } = await import("../../report/charts/samplesChart.ts");
  const { renderInspection } = await import("../../report/inspectPage.ts");
  const { dataSet, devices } = data;
  const charts: Readonly<Record<string, string>> = {
    samples: dataSet.samples ? samplesChart(dataSet.classes, dataSet.samples) : "",
    counts: countsChart(dataSet),
    holdings: holdingsChart(dataSet.classes, devices),
  };
  const written: string[] = [];
  const write = async (name: string, content: string | Uint8Array): Promise<void> => {
    const path = join(folder, name);
    await writeFileAtomic(path, content);
    written.push(path);
  };
  for (const [name, svg] of Object.entries(charts)) {
    if (svg === "") continue;
    await write(`${name}.svg`, chartFile(svg));
    await write(`${name}.png`, await svgToPng(chartFile(svg, "light")));
  }
  await write("inspect.html", renderInspection(data));
  return written;
}

const sum = (counts: readonly number[]): number => counts.reduce((total, each) => total + each, 0);
const number = (value: number): string => value.toLocaleString("en");

function printInspection(terminal: Terminal, data: InspectData): void {
  const { dataSet, skipped, devices, noPlan } = data;
  const { counts, shape = [], mean = [], std = [] } = dataSet;
  terminal.print(`${dataSet.name}: ${dataSet.source}${dataSet.note ? `\n${dataSet.note}` : ""}`);
  const channels = (values: readonly number[]): string => values.map((value) => Number(value.toPrecision(4))).join(", ");
  terminal.print(`Shape ${shape.join(" x ")}, mean ${channels(mean)}, standard deviation ${channels(std)}\n`);
  if (skipped.count > 0) {
    terminal.print(`${number(skipped.count)} ${skipped.count === 1 ? "file" : "files"} left out:`);
    for (const { where, reason } of skipped.first) terminal.print(`  ${where}: ${reason}`);
    if (skipped.first.length < skipped.count) terminal.print("  ...");
    terminal.print("");
  }
  const { validation, test } = counts ?? {};
  terminal.print(
    table([
      ["class", "training", ...(validation ? ["validation"] : []), ...(test ? ["test"] : [])],
      ...dataSet.classes.map((label, c) => [
        label,
        number(counts?.train[c] ?? 0),
        ...(validation ? [number(validation[c] ?? 0)] : []),
        ...(test ? [number(test[c] ?? 0)] : []),
      ]),
    ]),
  );
  if (noPlan !== undefined) {
    terminal.print(`\nNo plan for the fleet: ${noPlan}.`);
    return;
  }
  terminal.print(`\nHeld by each device, partition ${data.partition}:`);
  terminal.print(
    table([
      ["device", "classes", "own", "background"],
      ...devices.map(({ id, holdings: { own, background } }) => [
        id,
        String(own.filter((held) => held > 0).length),
        number(sum(own)),
        number(sum(background)),
      ]),
    ]),
  );
}

export const dataInspect: CommandSpec = {
  // All of run's, so that what devices hold is shown for the very run that is meant.
  flags: run.flags ?? [],
  examples: [
    ["data inspect glyphs --out looks", "counts, and pictures of samples and holdings as SVG, PNG and a page"],
    ["data inspect cifar100 --set partition.type=dirichlet --json", "what devices would hold under another partition"],
    ["data inspect ./photos --set data.skipBadFiles=true", "a folder of images per class; bad files are listed"],
  ],
  async run({ arguments: [name], options, terminal, config, signal }) {
    const settings = await config();
    const chosen = name === undefined ? settings : { ...settings, data: { ...settings.data, name } };
    const { inspectData } = await import("../../run/inspect.ts");
    const { loadData } = await import("../../run/loadData.ts");
    const { openProgress } = await import("../progress.ts");
    const loaded = await loadData(chosen, options, openProgress(terminal).data, signal);
    const data = await inspectData(chosen, loaded);
    const files = options.out ? await writeFiles(data, options.out) : [];
    const { dataSet, devices, noPlan } = data;
    terminal.printJson({
      name: dataSet.name,
      train: dataSet.trainCount,
      ...(dataSet.counts?.validation ? { validation: sum(dataSet.counts.validation) } : {}),
      ...(dataSet.counts?.test ? { test: sum(dataSet.counts.test) } : {}),
      classes: dataSet.classes.map((label, c) => ({
        label,
        train: dataSet.counts?.train[c],
        ...(dataSet.counts?.validation ? { validation: dataSet.counts.validation[c] } : {}),
        ...(dataSet.counts?.test ? { test: dataSet.counts.test[c] } : {}),
      })),
      shape: dataSet.shape,
      mean: dataSet.mean,
      std: dataSet.std,
      source: dataSet.source,
      sha256: data.sha256,
      ...(dataSet.note === undefined ? {} : { note: dataSet.note }),
      skipped: data.skipped,
      partition: data.partition,
      devices: devices.map(({ id, profile, holdings }) => ({ id, profile, ...holdings })),
      ...(noPlan === undefined ? {} : { noPlan }),
      files,
    });
    printInspection(terminal, data);
    if (files.length > 0) terminal.print(`\nWritten: ${files.join(", ")}`);
  },
};
