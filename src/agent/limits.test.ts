import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isWithin, minuteOfDayAt, parseCpuShare, parseHours, parseMemory, reasonToPause, restMs } from "./limits.ts";

describe("hours", () => {
  it.each([
    ["22:00-06:00", { startMinute: 1320, endMinute: 360 }],
    ["8:30-17:05", { startMinute: 510, endMinute: 1025 }],
    ["00:00-24:00", { startMinute: 0, endMinute: 0 }],
    [" 22:00 - 24:00 ", { startMinute: 1320, endMinute: 0 }],
  ])("reads %s", (text, expected) => {
    expect(parseHours(text)).toEqual(expected);
  });

  it.each(["", "22-6", "25:00-26:00", "24:01-02:00", "12:60-13:00", "10:00", "10:00-11:00-12:00", "10:00-10:00", "at night"])(
    "refuses %j",
    (text) => {
      expect(() => parseHours(text)).toThrow(expect.objectContaining({ code: "usage" }));
    },
  );

  it.each([
    ["22:00-06:00", "22:00", true],
    ["22:00-06:00", "05:59", true],
    ["22:00-06:00", "06:00", false],
    ["22:00-06:00", "21:59", false],
    ["08:00-12:00", "08:00", true],
    ["08:00-12:00", "12:00", false],
    ["00:00-24:00", "13:17", true],
    ["22:00-24:00", "23:59", true],
    ["22:00-24:00", "00:00", false],
  ])("%s at %s: %s", (text, at, expected) => {
    const [h, m] = at.split(":").map(Number) as [number, number];
    expect(isWithin(parseHours(text), h * 60 + m)).toBe(expected);
  });
});

describe("amounts", () => {
  it("reads shares of the processor", () => {
    expect(parseCpuShare("50%", 2)).toBe(1);
    expect(parseCpuShare("25%", 2)).toBe(0.5);
    expect(parseCpuShare("0.3", 8)).toBe(0.3);
    expect(parseCpuShare("4", 8)).toBe(1);
    for (const text of ["0", "-1", "101%", "half", "", "0%"]) expect(() => parseCpuShare(text, 4)).toThrow(/--max-cpu/);
  });

  it("reads amounts of memory", () => {
    expect(parseMemory("512MB")).toBe(512e6);
    expect(parseMemory("1.5 GB")).toBe(1.5e9);
    expect(parseMemory("2GiB")).toBe(2 ** 31);
    expect(parseMemory("64m")).toBe(64e6);
    expect(parseMemory("1000")).toBe(1000);
    for (const text of ["", "0", "-5MB", "lots", "5TB5", "NaN"]) expect(() => parseMemory(text)).toThrow(/--max-memory/);
  });

  it("rests so long that work has its share", () => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 1, noNaN: true }), fc.double({ min: 1, max: 1e4, noNaN: true }), (share, busy) => {
        expect(busy / (busy + restMs(share, busy))).toBeCloseTo(share, 9);
      }),
    );
  });
});

describe("conditions", () => {
  const night = parseHours("22:00-06:00");
  it("pause work on battery and out of hours, and nothing else", () => {
    expect(reasonToPause({}, { minuteOfDay: 720, isOnPower: false })).toBeUndefined();
    expect(reasonToPause({ onlyOnPower: true }, { minuteOfDay: 720, isOnPower: false })).toMatch(/battery/);
    expect(reasonToPause({ onlyOnPower: true }, { minuteOfDay: 720, isOnPower: undefined })).toBeUndefined();
    expect(reasonToPause({ hours: night }, { minuteOfDay: 720, isOnPower: true })).toBe("its hours begin at 22:00");
    expect(reasonToPause({ hours: night }, { minuteOfDay: 1380, isOnPower: true })).toBeUndefined();
  });

  it("take the local time of day", () => {
    expect(minuteOfDayAt(new Date(2026, 0, 1, 13, 45))).toBe(13 * 60 + 45);
  });
});
