/** The result of a run in one sentence. */
import { findHead } from "./charts/headStyles.ts";
import { count, percent, ratio } from "./format.ts";
import type { ReportData } from "./reportData.ts";

/**
 * Says what was reached, against what, and at which price.
 * @example "H2 reaches 78.1 % against 84.0 % of central training on 10,000 test images, each device computing 11.3 to 14.0 times less."
 */
export function headline(data: ReportData): string {
  const main = findHead(data.heads, data.mainHead);
  const central = findHead(data.heads, "central");
  const where = `on ${count(data.dataSet.testCount)} test samples`;
  if (main === undefined) return `No head was evaluated ${where}.`;
  const reached = `${main.id === "central" ? "Central training" : main.id} reaches ${percent(main.accuracy)}`;
  const against = central === undefined || central === main ? "" : ` against ${percent(central.accuracy)} of central training`;
  return `${reached}${against} ${where}${price(data)}.`;
}

function price(data: ReportData): string {
  const { computeRatio, devices } = data;
  if (computeRatio === undefined || devices.length === 0) return "";
  const low = ratio(computeRatio.min);
  const high = ratio(computeRatio.max);
  const subject = devices.length === 1 ? "the one device" : "each device";
  if (computeRatio.min < 1) return `, at a compute ratio of ${low === high ? low : `${low} to ${high}`}`;
  return `, ${subject} computing ${low === high ? low : `${low} to ${high}`} times less`;
}
