import { expect, it } from "vitest";
import { bytes, byteTick, count, duration, macs, percent, points, ratio, si, widths } from "./format.ts";

/** A plain space for the no-break space, to keep the table readable. */
const plain = (text: string): string => text.replaceAll("\u00a0", " ");

it.each([
  [percent(0.7814), "78.1 %"],
  [percent(1), "100.0 %"],
  [points(-0.0593), "−5.9"],
  [points(0.004), "+0.4"],
  [points(-0.0004), "0.0"],
  [count(10_000), "10,000"],
  [si(152.8e6), "153 M"],
  [si(0), "0"],
  [si(999), "999"],
  [si(999_999), "1.00 M"],
  [macs(2.36e13), "23.6 TMAC"],
  [macs(12), "12 MAC"],
  [bytes(999), "999 B"],
  [bytes(9.23e6), "9.23 MB"],
  [byteTick(2e6), "2 MB"],
  [byteTick(0), "0 B"],
  [ratio(11.32), "11.3"],
  [ratio(1234.4), "1,234"],
  [duration(0.4), "0.40 s"],
  [duration(42.4), "42 s"],
  [duration(200), "3 min 20 s"],
  [duration(7500), "2 h 05 min"],
  [duration(7199.7), "2 h 00 min"],
  [widths([0.28, 0.28]), "0.28"],
  [widths([0.19, 0.56]), "0.19–0.56"],
  [widths([]), "–"],
])("prints %s", (text, expected) => {
  expect(plain(text)).toBe(expected);
});
