/** `sheaf report`: writes a run's page anew. */
import { join } from "node:path";
import { runFiles } from "../../run/directory.ts";
import { SheafError } from "../../util/errors.ts";
import { readFileChecked, writeFileAtomic } from "../../util/files.node.ts";
import type { CommandSpec } from "../command.ts";

export const report: CommandSpec = {
  examples: [
    ["report runs/vgg", "rewrites runs/vgg/report.html and MODEL_CARD.md"],
    ["report runs/vgg --out /tmp/page", "writes them elsewhere"],
  ],
  async run({ arguments: [path = ""], options, terminal }) {
    const source = join(path, runFiles.reportData);
    const text = new TextDecoder().decode(await readFileChecked(source, "run's report data"));
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw new SheafError("corrupt", `${source} is not JSON; resume the run to write it anew.`, { cause });
    }
    const { modelCard } = await import("../../report/modelCard.ts");
    const { renderReport } = await import("../../report/page.ts");
    const { parseReportData } = await import("../../report/reportData.ts");
    const data = parseReportData(value, source);
    const folder = options.out ?? path;
    const files = { report: join(folder, runFiles.report), card: join(folder, runFiles.card) };
    await writeFileAtomic(files.report, renderReport(data));
    await writeFileAtomic(files.card, modelCard(data));
    terminal.printJson(files);
    terminal.print(`${files.report}\n${files.card}`);
  },
};
