/** A real fleet in processes of its own: a coordinator and devices on this machine, left in peace. What is done to one otherwise: fleetChaos.test.ts. */
import { readFile } from "node:fs/promises";
import { join as joinPath } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { killAll, type Running, start } from "./processes.ts";
import { built, json, type Scratch, scratch, sha256 } from "./sheaf.ts";

const data = "--data-set glyphs --train-count 300 --test-count 60".split(" ");

afterEach(killAll);

describe.skipIf(!built)("a fleet of processes", () => {
  let folder: Scratch;
  beforeAll(async () => {
    folder = await scratch("fleet");
  });
  afterAll(() => folder.remove());

  // The profile is stated: what a machine under test measures is not the same twice, and plans differ with it.
  const join = (name: string, device: string, address: string): Running =>
    start(["join", address, ...data, "--state", folder.at(name, device), "--name", device, "--profile", "raspberry-pi-4"], folder.path);

  it("makes a model, and its coordinator stops when it is there", async () => {
    const [store, out] = [folder.at("peace", "store"), folder.at("peace")];
    const settings = "--network tiny --epochs 2 --batch 4 --sub-width 0.5 --until-finished --set serve.minimumDevices=2".split(" ");
    const coordinator = start(["serve", ...settings, ...data, "--store", store, "--out", out, "--port", "0"], folder.path);
    const [, address = ""] = await coordinator.until(/^To join +sheaf join (\S+)$/m);
    for (const device of ["ann", "bob"]) join("peace", device, address);
    expect(await coordinator.ended, coordinator.said()).toBe(0);
    expect(await json(["audit", "verify", "--store", store])).toMatchObject({ ok: true });
    expect(coordinator.said()).toContain(await sha256(joinPath(out, "model.onnx")));
  });

  it("is shown, harvested, checked and administrated while it goes on", async () => {
    const store = folder.at("shown");
    const coordinator = start(
      [
        "serve",
        "--network",
        "tiny",
        "--epochs",
        "1",
        "--sub-width",
        "0.5",
        ...data,
        "--set",
        "serve.minimumDevices=1",
        "--store",
        store,
        "--port",
        "0",
      ],
      folder.path,
    );
    const [, address = ""] = await coordinator.until(/^To join +sheaf join (\S+)$/m);
    const device = join("shown-devices", "ann", address);
    await coordinator.until(/^SHA-256 /m);
    const asked = (...args: string[]): Promise<unknown> => json([...args, "--store", store]);
    expect(await asked("status")).toMatchObject({
      runs: [{ status: "finished", tasks: { done: 2, total: 2 } }],
      devices: [{ name: "ann", status: "idle" }],
    });
    const file = folder.at("shown.onnx");
    const harvested = (await asked("harvest", "--file", file)) as { readonly modelSha256: string };
    expect(harvested).toMatchObject({ head: "H2", devices: ["ann"], missingClasses: [] });
    expect(await sha256(file)).toBe(harvested.modelSha256);
    expect(
      await asked("runs", "create", "second", ...data, "--network", "tiny", "--epochs", "500", "--set", "serve.minimumDevices=1"),
    ).toMatchObject({ name: "second" });
    await device.until(/(?:begins train-ann[\s\S]*){2}/);
    expect(await asked("runs", "pause", "second")).toMatchObject({ status: "paused" });
    expect(await asked("runs", "resume", "second")).toMatchObject({ status: "training" });
    expect(await asked("runs", "cancel", "second")).toMatchObject({ status: "cancelled" });
    expect(await asked("runs", "archive", "second")).toMatchObject({ archived: true });
    expect(await asked("runs", "list")).toMatchObject({ runs: [{ name: "fleet" }] });
    expect(await asked("devices", "invite")).toMatchObject({ line: expect.stringContaining("sheaf join http://127.0.0.1:") });
    expect(await asked("devices", "revoke", "ann")).toMatchObject({ status: "revoked" });
    expect(await device.ended).not.toBe(0);
    expect(await json(["doctor", address.split("#")[0] as string])).toMatchObject({ ok: true });
    const { head } = (await asked("audit", "verify")) as { readonly head: string };
    expect(await asked("audit", "verify", "--noted", head)).toMatchObject({ ok: true });
    expect((await readFile(joinPath(store, "log.sqlite"))).includes(address.split("#")[1] as string)).toBe(false);
    // The lines that say how to join are the last that hold a token.
    const afterwards = coordinator.said().split("In a browser")[1]?.split("\n").slice(1).join("\n");
    expect(afterwards).toContain("SHA-256");
    expect(afterwards).not.toContain("sheafjoin-");
  });
});
