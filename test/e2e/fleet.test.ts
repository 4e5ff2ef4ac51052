/** A real fleet in processes of its own: a coordinator and three devices on this machine, undisturbed, and with devices and the coordinator killed. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join as joinPath } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { built, command, json, type Scratch, scratch, sha256 } from "./sheaf.ts";

const data = "--data-set glyphs --train-count 300 --test-count 60".split(" ");
const devices = ["ann", "bob", "cat"] as const;

/** A process and all that it has said. */
interface Running {
  readonly child: ChildProcess;
  readonly said: () => string;
  /** Resolves when `pattern` has been said; fails when the process ends before. */
  until(pattern: RegExp): Promise<RegExpMatchArray>;
  readonly ended: Promise<number | null>;
}

const running = new Set<ChildProcess>();

function start(args: readonly string[], cwd: string): Running {
  const { SHEAF_DATA: _, NODE_OPTIONS: __, ...env } = process.env;
  const child = spawn(process.execPath, [command, ...args], { cwd, env: { ...env, HOME: cwd, NO_COLOR: "1" } });
  running.add(child);
  let text = "";
  const listeners = new Set<() => void>();
  const hear = (piece: string): void => {
    text += piece;
    for (const listener of [...listeners]) listener();
  };
  child.stdout.setEncoding("utf8").on("data", hear);
  child.stderr.setEncoding("utf8").on("data", hear);
  const ended = new Promise<number | null>((resolve) =>
    child.on("close", (code) => {
      running.delete(child);
      resolve(code);
      hear("");
    }),
  );
  return {
    child,
    said: () => text,
    ended,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const match = text.match(pattern);
          if (match) resolve(match);
          else if (child.exitCode !== null || child.signalCode !== null)
            reject(new Error(`sheaf ${args[0]} ended without ${pattern}:\n${text}`));
          else return;
          listeners.delete(look);
        };
        listeners.add(look);
        look();
      }),
  };
}

afterEach(async () => {
  const ends = [...running].map((child) => new Promise((resolve) => child.once("close", resolve)));
  for (const child of running) child.kill("SIGKILL");
  await Promise.all(ends);
});

describe.skipIf(!built)("a fleet of processes", () => {
  let folder: Scratch;
  let expected: string;
  beforeAll(async () => {
    folder = await scratch("fleet");
  });
  afterAll(() => folder.remove());

  const serve = (name: string, port: string): Running =>
    start(
      [
        ..."serve --network tiny --epochs 30 --batch 4 --sub-width 0.5 --until-finished --set serve.minimumDevices=3".split(" "),
        ...data,
        ..."--set checkpointSeconds=0.1 --set serve.heartbeatSeconds=1 --set serve.leaseSeconds=5".split(" "),
        ...["--store", folder.at(name, "store"), "--out", folder.at(name), "--port", port],
      ],
      folder.path,
    );
  // The profile is stated: what a machine under test measures is not the same twice, and plans differ with it.
  const join = (name: string, device: string, address: string): Running =>
    start(
      [
        "join",
        address,
        ...data,
        "--set",
        "checkpointSeconds=0.1",
        "--state",
        folder.at(name, device),
        "--name",
        device,
        "--profile",
        "raspberry-pi-4",
      ],
      folder.path,
    );

  /** A run from the first line to the model. */
  async function fleet(
    name: string,
    disturb: (all: Map<string, Running>, again: (device: string) => void, killCoordinator: () => Promise<void>) => Promise<void>,
  ): Promise<string> {
    let coordinator = serve(name, "0");
    const [, address = ""] = await coordinator.until(/^To join +sheaf join (\S+)$/m);
    const all = new Map(devices.map((device) => [device as string, join(name, device, address)]));
    const url = address.split("#")[0] as string;
    await disturb(
      all,
      (device) => all.set(device, join(name, device, url)),
      async () => {
        coordinator.child.kill("SIGKILL");
        await coordinator.ended;
        coordinator = serve(name, new URL(url).port);
        await coordinator.until(/going on where it was/);
      },
    );
    expect(await coordinator.ended, coordinator.said()).toBe(0);
    const verified = (await json(["audit", "verify", "--store", folder.at(name, "store")])) as { readonly ok: boolean };
    expect(verified.ok).toBe(true);
    return sha256(folder.at(name, "model.onnx"));
  }

  it("makes a model", async () => {
    expected = await fleet("peace", async () => undefined);
    expect((await readFile(folder.at("peace", "model.onnx"))).length).toBeGreaterThan(1000);
  });

  it("makes the very same model where a device was killed in training and started again", async () => {
    let resumed: Running | undefined;
    const again = await fleet("killed", async (all, restart) => {
      const bob = all.get("bob") as Running;
      await bob.until(/begins train-bob/);
      await bob.until(/training: epoch/);
      // Past its first checkpoint and before the end.
      const folderOfState = folder.at("killed", "bob");
      for (let i = 0; i < 200 && !(await filesOf(folderOfState)).some((file) => file.includes("checkpoint")); i++) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      bob.child.kill("SIGKILL");
      await bob.ended;
      expect(bob.said()).not.toMatch(/has made train-bob/);
      restart("bob");
      resumed = all.get("bob");
      await resumed?.until(/goes on with train-bob/);
    });
    expect(resumed?.said()).toMatch(/joined again/);
    expect(again).toBe(expected);
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
    expect(coordinator.said().split("To join")[1]?.split("\n").slice(1).join("\n")).not.toContain("sheafjoin-");
  });

  it("makes the very same model where the coordinator was killed twice and started again", async () => {
    const again = await fleet("headless", async (all, _, killCoordinator) => {
      const cat = all.get("cat") as Running;
      await cat.until(/training: epoch/);
      await killCoordinator();
      await cat.until(/handed in train-cat/);
      await killCoordinator();
    });
    expect(again).toBe(expected);
  });
});

async function filesOf(path: string): Promise<readonly string[]> {
  return existsSync(path) ? await readdir(path, { recursive: true }) : [];
}
