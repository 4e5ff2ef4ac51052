/** `sheaf data list`, or `sheaf data` alone: which data sets there are, and where they lie. */
import type { DatasetInfo } from "../../data/catalog.ts";
import { SheafError } from "../../util/errors.ts";
import { table } from "../../util/format.ts";
import type { CommandSpec } from "../command.ts";

export const dataList: CommandSpec = {
  examples: [
    ["data", "what there is and where it was found"],
    ["data list --json", "the same for programs"],
    ["data inspect glyphs", "look into one of them"],
  ],
  async run({ options, terminal }) {
    const { datasetCatalog, datasetNames } = await import("../../data/catalog.ts");
    const { findDataset } = await import("../../data/find.node.ts");
    const { registeredSets } = await import("../../data/registry.node.ts");
    const sets = await Promise.all(
      datasetNames.map(async (name) => {
        const info: DatasetInfo = datasetCatalog[name];
        const found = await findDataset(name, { dir: options.data });
        const where = found === undefined ? "not at hand; downloaded when used" : "folder" in found ? found.folder : "made in code";
        return { name, title: info.title, classes: info.classCount, found: found !== undefined, where, cite: info.cite };
      }),
    );
    // The list must come even when that of the user's own names is damaged.
    let problem: string | undefined;
    const own = await registeredSets().catch((error: unknown) => {
      if (!(error instanceof SheafError)) throw error;
      problem = error.message;
      return new Map();
    });
    const added = [...own].map(([name, { path, preparation }]) => ({ name, path, preparation }));
    terminal.printJson({ dataSets: sets, added, ...(problem === undefined ? {} : { problem }) });
    terminal.print(
      table([
        ["name", "title", "classes", "where"],
        ...sets.map((set) => [set.name, set.title, String(set.classes), set.where]),
        ...added.map(({ name, path }) => [name, "your own", "", path]),
      ]),
    );
    if (problem !== undefined) terminal.note(problem);
  },
};
