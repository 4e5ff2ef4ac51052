/** The report of a run as one HTML file: charts in SVG, no script, nothing fetched. */
import { chartSections } from "./chartSections.ts";
import { headline } from "./headline.ts";
import { htmlPage } from "./htmlPage.ts";
import { sequence } from "./markup.ts";
import { howToRead, provenance } from "./provenance.ts";
import type { ReportData } from "./reportData.ts";
import { summary } from "./summary.ts";

/**
 * The whole page. The same data gives the same bytes. Sections whose data is absent are left out.
 * @example writeFileSync("report.html", renderReport(parseReportData(JSON.parse(text), "runs/1/report.json")));
 */
export function renderReport(data: ReportData): string {
  return htmlPage(
    { title: data.title, description: headline(data), sheafVersion: data.sheafVersion },
    sequence([summary(data), ...chartSections(data), howToRead(data), provenance(data)]),
  );
}
