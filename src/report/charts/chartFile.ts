/** Makes a chart a file of its own. */
import { el } from "../markup.ts";
import { fileStyle } from "../style.ts";

/**
 * A chart as the text of an SVG file, with its style and a ground. On the `preferred` ground it is light or dark as the viewer likes;
 * on a `light` one it looks the same everywhere, as for turning it into pixels.
 * @example writeFileSync("holdings.svg", chartFile(holdingsChart(classes, devices)));
 */
export function chartFile(svg: string, ground: "light" | "preferred" = "preferred"): string {
  const head = `${el("style", {}, { markup: fileStyle(ground) }).markup}${el("rect", { width: "100%", height: "100%", class: "ground" }).markup}`;
  // After the title and description, which must come first.
  const at = svg.indexOf("</desc>") + "</desc>".length;
  return `<?xml version="1.0" encoding="UTF-8"?>\n${svg.slice(0, at)}${head}${svg.slice(at)}\n`;
}
