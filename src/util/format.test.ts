import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatBytes, formatCount, formatDuration, formatPercent, formatRatio, table, visibleWidth } from "./format.ts";

describe("numbers", () => {
  it.each([
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1.0 kB"],
    [1_200_000, "1.2 MB"],
    [999_600, "1.0 MB"],
    [152_800_000, "153 MB"],
    [-2048, "-2.0 kB"],
    [Number.NaN, "n/a"],
  ])("formatBytes(%d) is %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it.each([
    [7, "7"],
    [0.25, "0.25"],
    [9_230, "9.23 k"],
    [2_472_266, "2.47 M"],
    [9_999_000, "10.0 M"],
    [99_960_000, "100 M"],
    [313_201_664, "313 M"],
    [2e19, "20000 P"],
    [Number.POSITIVE_INFINITY, "n/a"],
  ])("formatCount(%d) is %s", (count, text) => {
    expect(formatCount(count)).toBe(text);
  });

  it.each([
    [0, "0 ms"],
    [850, "850 ms"],
    [999.6, "1.0 s"],
    [12_340, "12.3 s"],
    [59_960, "1 m 00 s"],
    [80_000, "1 m 20 s"],
    [3_599_700, "1 h 00 m"],
    [7_500_000, "2 h 05 m"],
    [86_399_000, "1 d 00 h"],
    [273_600_000, "3 d 04 h"],
    [-80_000, "-1 m 20 s"],
    [Number.NaN, "n/a"],
  ])("formatDuration(%d) is %s", (durationMs, text) => {
    expect(formatDuration(durationMs)).toBe(text);
  });

  it("formats shares and ratios", () => {
    expect(formatPercent(0.84234)).toBe("84.2%");
    expect(formatPercent(1, 0)).toBe("100%");
    expect(formatPercent(Number.NaN)).toBe("n/a");
    expect(formatRatio(11.83)).toBe("11.8x");
    expect(formatRatio(99.96)).toBe("100x");
    expect(formatRatio(Number.NaN)).toBe("n/a");
  });

  it("never shows a count of 1000 below the last prefix, and is within half a percent", () => {
    const factors: Readonly<Record<string, number>> = { k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15 };
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e15 }), (count) => {
        const [number, prefix] = formatCount(count).split(" ");
        expect(Number(number)).toBeLessThan(1000);
        expect(Math.abs(Number(number) * (prefix ? (factors[prefix] ?? Number.NaN) : 1) - count)).toBeLessThanOrEqual(count * 0.005);
      }),
    );
  });
});

describe("table", () => {
  const red = (text: string): string => `\u001b[31m${text}\u001b[39m`;

  it("aligns words to the left and numbers to the right", () => {
    const rows = [
      ["device", "ratio", "classes"],
      ["phone", "11.8x", "cat, dog"],
      ["Raspberry Pi", "4.0x", "ship"],
    ];
    expect(table(rows)).toMatchInlineSnapshot(`
      "device        ratio  classes
      phone         11.8x  cat, dog
      Raspberry Pi   4.0x  ship"
    `);
  });

  it("does not count colour codes", () => {
    const plain = table([
      ["head", "accuracy"],
      ["H0", "78.0%"],
      ["H2", "8.7%"],
    ]);
    const coloured = table([
      [red("head"), red("accuracy")],
      ["H0", red("78.0%")],
      [red("H2"), "8.7%"],
    ]);
    expect(coloured).not.toBe(plain);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: removes the colour codes that `red` added.
    expect(coloured.replace(/\u001b\[\d+m/g, "")).toBe(plain);
    expect(visibleWidth(red("äß€😀"))).toBe(4);
  });

  it("takes alignment and gap as told, rows of different length, and nothing at all", () => {
    expect(table([["a", "b"], ["long"]], { align: ["right"], gap: "|" })).toBe("   a|b\nlong|");
    expect(table([])).toBe("");
  });
});
