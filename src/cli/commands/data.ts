/** `sheaf data`: which data sets there are, where they lie, what is in them. */
import { join } from "node:path";
import { type DatasetInfo, datasetCatalog, datasetNames } from "../../data/catalog.ts";
import { samplesByClass } from "../../data/dataset.ts";
import { findDataset } from "../../data/find.node.ts";
import { contactSheet, encodePng } from "../../data/images.node.ts";
import { loadData } from "../../run/loadData.ts";
import { writeFileAtomic } from "../../util/files.node.ts";
import { table } from "../../util/format.ts";
import type { CommandSpec } from "../command.ts";
import { openProgress } from "../progress.ts";

export const data: CommandSpec = {
  name: "data",
  summary: "list the data sets, or look into one",
  arguments: "[name]",
  flags: ["trainCount", "testCount"],
  examples: [
    ["data", "what there is and where it was found"],
    ["data glyphs --out samples", "counts per class, and a picture of samples"],
  ],
  async run({ arguments: [name], options, terminal, config }) {
    if (name === undefined) {
      const sets = await Promise.all(
        datasetNames.map(async (set) => {
          const info: DatasetInfo = datasetCatalog[set];
          const found = await findDataset(set, { dir: options.data });
          const where = found === undefined ? "not at hand; downloaded when used" : "folder" in found ? found.folder : "made in code";
          return { name: set, title: info.title, classes: info.classCount, found: found !== undefined, where, cite: info.cite };
        }),
      );
      terminal.printJson({ dataSets: sets });
      terminal.print(table([["name", "title", "classes", "where"], ...sets.map((s) => [s.name, s.title, String(s.classes), s.where])]));
      return;
    }
    const settings = await config({ data: { name } });
    const { train, test, note } = await loadData(
      { ...settings, data: { ...settings.data, name } },
      options,
      openProgress(terminal).download,
    );
    const counts = (labels: Uint16Array): number[] => samplesByClass(labels, train.classNames.length).map((group) => group.length);
    const [trainCounts, testCounts] = [counts(train.labels), counts(test.labels)];
    let picture: string | undefined;
    if (options.out) {
      picture = join(options.out, `${train.name}.png`);
      const byClass = samplesByClass(train.labels, train.classNames.length);
      const rows = byClass.slice(0, 20).flatMap((group) => group.slice(0, 12));
      const sheet = contactSheet(train, rows, 12);
      await writeFileAtomic(picture, await encodePng(sheet.pixels, sheet.shape));
    }
    terminal.printJson({
      name: train.name,
      train: train.labels.length,
      test: test.labels.length,
      classes: train.classNames.map((label, c) => ({ label, train: trainCounts[c], test: testCounts[c] })),
      shape: [train.shape.channels, train.shape.height, train.shape.width],
      mean: train.mean,
      std: train.std,
      source: train.provenance.source,
      sha256: train.provenance.sha256,
      ...(note === undefined ? {} : { note }),
      ...(picture === undefined ? {} : { picture }),
    });
    terminal.print(`${train.name}: ${train.provenance.source}${note ? `\n${note}` : ""}\n`);
    terminal.print(
      table([["class", "training", "test"], ...train.classNames.map((label, c) => [label, String(trainCounts[c]), String(testCounts[c])])]),
    );
    if (picture) terminal.print(`\nSamples: ${picture}`);
  },
};
