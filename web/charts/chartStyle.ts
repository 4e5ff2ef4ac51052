/** The report's style sheet for its charts, on a page that allows no inline styles. */
import { chartStyleFor } from "../../src/report/style.ts";

/** Adds the style sheet to the page. */
export function adoptChartStyle(): void {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(chartStyleFor("svg.chart"));
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}
