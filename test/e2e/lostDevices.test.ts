/** A finished run with every head, and models of it without devices that were lost. */
import { cp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readOnnx } from "../../src/onnx/read.ts";
import { exitCodes } from "../../src/util/errors.ts";
import { built, json, type Scratch, scratch, sha256, sheaf, small, succeed } from "./sheaf.ts";

const devices = ["raspberry-pi-4", "phone-mid", "laptop-browser", "jetson-nano", "desktop"];

interface RunJson {
  readonly accuracy: Readonly<Record<string, number>>;
  readonly ridges: Readonly<Record<string, number>>;
  readonly lostDevices: readonly { readonly devices: readonly string[]; readonly H0: number; readonly H2: number }[];
}

describe.skipIf(!built)("a run with every head", () => {
  let folder: Scratch;
  let out: string;
  let result: RunJson;
  beforeAll(async () => {
    folder = await scratch("lost");
    out = folder.at("run");
    const settings = ["--redundancy", "2", "--set", 'heads.extra=["H3","H4","H5"]', "--set", "heads.heldOutShare=0.1"];
    const few = ["--set", "heads.expansion=64", "--set", "controls.central=false", "--set", "controls.slim=false"];
    result = (await json(["run", ...small, ...settings, ...few, "--out", out])) as RunJson;
  });
  afterAll(() => folder.remove());

  const accuracyOf = async (file: string): Promise<number> =>
    ((await json(["eval", file, "--data-set", "glyphs", "--test-count", "200"])) as { accuracy: number }).accuracy;

  it("says how each does, and which ridge was chosen", async () => {
    expect(Object.keys(result.accuracy).sort()).toEqual(["H0", "H1", "H2", "H3", "H4", "H5"]);
    expect(Object.keys(result.ridges)).toEqual(["H2", "H3", "H4", "H5"]);
    const report = await readFile(join(out, "report.html"), "utf8");
    for (const said of [
      "H3, ridge on features and log-probabilities",
      "H4, ridge on features and a random expansion",
      "H5, linear discriminant",
    ])
      expect(report).toContain(said);
    expect(report).toContain("Accuracy with devices lost");
    for (const type of ["H3", "H4", "H5"]) {
      await succeed(["export", out, type, "--file", folder.at(`${type}.onnx`)]);
      expect(await accuracyOf(folder.at(`${type}.onnx`)), type).toBe(result.accuracy[type]);
    }
  });

  it("gives without a device the model whose accuracy it reported", async () => {
    expect(result.lostDevices.map((set) => set.devices[0])).toEqual(expect.arrayContaining(devices));
    const sets = [result.lostDevices.find(({ devices: [id] }) => id === "phone-mid"), result.lostDevices.at(-1)];
    for (const set of sets) {
      expect(set).toBeDefined();
      for (const type of ["H0", "H2"] as const) {
        const file = folder.at("lost.onnx");
        const without = (set?.devices ?? []).flatMap((id) => ["--without", id]);
        await succeed(["export", out, type, ...without, "--file", file]);
        expect(await accuracyOf(file), `${type} without ${set?.devices.join(", ")}`).toBeCloseTo(set?.[type] ?? -1, 9);
        const { metadata } = readOnnx(await readFile(file));
        expect(JSON.parse(metadata?.without ?? "null")).toEqual(set?.devices);
      }
    }
  });

  it("gives the same model when nothing of the lost device is left but the others' sums", async () => {
    const gone = folder.at("gone");
    await cp(out, gone, { recursive: true });
    for (const kind of ["safetensors", "checkpoint", "statistics.safetensors", "heldOut.safetensors"])
      await rm(join(gone, "checkpoints", `desktop.${kind}`), { force: true });
    for (const type of ["H2", "H3"]) {
      for (const path of [out, gone]) await succeed(["export", path, type, "--without", "desktop"]);
      const file = `${type}-without-desktop.onnx`;
      expect(await sha256(join(gone, file)), type).toBe(await sha256(join(out, file)));
    }
    const { code, stderr } = await sheaf(["export", gone, "H2"]);
    expect({ code, stderr }).toEqual({ code: exitCodes.data, stderr: expect.stringMatching(/has no finished job "desktop"; resume/) });
  });

  it.each([
    ["a device that it does not have", ["H2", "--without", "toaster"], /has no device "toaster"; it has raspberry-pi-4, .*desktop/],
    ["all its devices", ["H2", ...devices.flatMap((id) => ["--without", id])], /at least one must remain/],
    ["a device of a head that mixes all", ["H4", "--without", "desktop"], /H4 mixes the features of all devices.*export another head/],
    ["a device of what is not made of several", ["phone-mid", "--without", "desktop"], /not made of several devices/],
  ])("refuses to leave out %s", async (_, args, says) => {
    const { code, stderr } = await sheaf(["export", out, ...args]);
    expect({ code, stderr }).toEqual({ code: exitCodes.usage, stderr: expect.stringMatching(says) });
  });
});
