/** Makes a chart a file of its own. */
import { el } from "../markup.ts";
import { fileStyle } from "../style.ts";

/** Pixels around the chart, which on a page are the page's own. */
const margin = 16;

/**
 * A chart as the text of an SVG file, with its style and a ground. On the `preferred` ground it is light or dark as the viewer likes;
 * on a `light` one it looks the same everywhere, as for turning it into pixels.
 * @example writeFileSync("holdings.svg", chartFile(holdingsChart(classes, devices)));
 */
export function chartFile(svg: string, ground: "light" | "preferred" = "preferred"): string {
  const head = `${el("style", {}, { markup: fileStyle(ground) }).markup}${el("rect", { x: -margin, y: -margin, width: "100%", height: "100%", class: "ground" }).markup}`;
  const framed = svg.replace(/viewBox="0 0 (\d+) (\d+)" width="\d+" height="\d+"/, (_, width: string, height: string) => {
    const [outerWidth, outerHeight] = [Number(width) + 2 * margin, Number(height) + 2 * margin];
    return `viewBox="${-margin} ${-margin} ${outerWidth} ${outerHeight}" width="${outerWidth}" height="${outerHeight}"`;
  });
  // After the title and description, which must come first.
  const at = framed.indexOf("</desc>") + "</desc>".length;
  return `<?xml version="1.0" encoding="UTF-8"?>\n${framed.slice(0, at)}${head}${framed.slice(at)}\n`;
}
