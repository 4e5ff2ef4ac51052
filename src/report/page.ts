/** The report of a run as one HTML file: charts in SVG, no script, nothing fetched. */
import { chartSections } from "./chartSections.ts";
import { headline } from "./headline.ts";
import { el, sequence, trusted } from "./markup.ts";
import { howToRead, provenance } from "./provenance.ts";
import type { ReportData } from "./reportData.ts";
import { chartStyle, pageStyle } from "./style.ts";
import { summary } from "./summary.ts";

/**
 * The whole page. The same data gives the same bytes. Sections whose data is absent are left out.
 * @example writeFileSync("report.html", renderReport(parseReportData(JSON.parse(text), "runs/1/report.json")));
 */
export function renderReport(data: ReportData): string {
  const page = el(
    "html",
    { lang: "en" },
    el(
      "head",
      {},
      el("meta", { charset: "utf-8" }),
      el("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }),
      el("meta", { name: "generator", content: `Sheaf ${data.sheafVersion}` }),
      el("meta", { name: "description", content: headline(data) }),
      // A page from the disk that may load nothing: even an escape that failed could not fetch or run.
      el("meta", { "http-equiv": "Content-Security-Policy", content: "default-src 'none'; style-src 'unsafe-inline'" }),
      el("title", {}, data.title),
      el("style", {}, trusted(chartStyle + pageStyle)),
    ),
    el("body", {}, el("main", {}, sequence([summary(data), ...chartSections(data), howToRead(data), provenance(data)]))),
  );
  return `<!doctype html>\n${page.markup}\n`;
}
