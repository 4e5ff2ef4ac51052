import { describe, expect, it } from "vitest";
import { SheafError } from "../util/errors.ts";
import { catalog, catalogNames, speedBasis, sustainedMacs } from "./catalog.ts";
import { profileSchema, resolveProfile } from "./device.ts";

describe("catalog", () => {
  it("derives each speed from cores, clock, lanes and efficiency", () => {
    expect(speedBasis("raspberry-pi-4")).toEqual({ cores: 4, clockHz: 1.5e9, macsPerCycle: 4, efficiency: 0.25 });
    expect(catalog["raspberry-pi-4"].macsPerSecond).toBe(6e9);
    for (const name of catalogNames) expect(catalog[name].macsPerSecond).toBe(sustainedMacs(speedBasis(name)));
  });

  it("orders devices of a family by strength", () => {
    const speeds = (...names: (typeof catalogNames)[number][]): number[] => names.map((name) => catalog[name].macsPerSecond);
    for (const family of [
      speeds("raspberry-pi-3", "raspberry-pi-4", "raspberry-pi-5"),
      speeds("jetson-nano", "jetson-orin-nano"),
      speeds("phone-low", "phone-mid", "phone-high"),
      speeds("laptop-browser", "laptop", "desktop", "server"),
    ]) {
      expect(family).toEqual([...family].sort((a, b) => a - b));
      expect(new Set(family).size).toBe(family.length);
    }
  });

  it.each(catalogNames)("%s is a profile by the rules of a configuration", (name) => {
    expect(resolveProfile(catalog[name])).toEqual(catalog[name]);
    expect(catalog[name].name).toBe(name);
    expect(catalog[name].watts).toBeGreaterThan(0);
  });
});

describe("profiles from a configuration", () => {
  it("come by name, by changes to an entry, or in full", () => {
    expect(resolveProfile("phone-mid")).toEqual(catalog["phone-mid"]);
    expect(resolveProfile({ like: "phone-mid", memoryBytes: 5e8, preferredClasses: [3] })).toEqual({
      ...catalog["phone-mid"],
      memoryBytes: 5e8,
      preferredClasses: [3],
    });
    expect(resolveProfile({ like: "laptop", name: "mine", watts: undefined })).toEqual({ ...catalog.laptop, name: "mine" });
    const own = { name: "own", macsPerSecond: 1e9, memoryBytes: 1e9, bandwidthBitsPerSecond: 1e6 };
    expect(resolveProfile(own)).toEqual(own);
    expect(profileSchema.parse("server")).toEqual(catalog.server);
  });

  it.each([
    ["an unknown name", "toaster", /"toaster"; the catalog has raspberry-pi-3/],
    ["an unknown entry to be like", { like: "toaster" }, /"like"/],
    ["a negative speed", { like: "laptop", macsPerSecond: -1 }, /"macsPerSecond"/],
    ["a missing figure", { name: "x", macsPerSecond: 1, memoryBytes: 1 }, /"bandwidthBitsPerSecond"/],
    ["a misspelt figure", { like: "laptop", memory: 1 }, /memory/],
    ["something else", 3, /not as expected/],
    ["nothing", null, /not as expected/],
  ])("refuse %s", (_what, value, message) => {
    expect(() => resolveProfile(value)).toThrow(SheafError);
    expect(() => resolveProfile(value)).toThrow(message);
  });
});
