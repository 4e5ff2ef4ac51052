import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { measureMemory, measureProfile } from "./benchmark.node.ts";
import { measureBandwidth } from "./benchmark.ts";
import { isOnPower } from "./power.node.ts";
import { serviceUnit } from "./service.ts";

let root = "";
let made = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "sheaf-power-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

type Supply = Readonly<Record<string, string>>;
async function supplies(all: Readonly<Record<string, Supply>>): Promise<string> {
  const folder = join(root, String(made++));
  await mkdir(folder);
  for (const [name, files] of Object.entries(all)) {
    await mkdir(join(folder, name));
    for (const [file, text] of Object.entries(files)) await writeFile(join(folder, name, file), `${text}\n`);
  }
  return folder;
}

const mains = (online: number): Supply => ({ type: "Mains", online: String(online) });
const battery = (status: string): Supply => ({ type: "Battery", status });

describe("isOnPower", () => {
  it.each<[string, Readonly<Record<string, Supply>>, boolean]>([
    ["a desktop, without supplies", {}, true],
    ["a laptop that charges", { AC: mains(1), BAT0: battery("Charging") }, true],
    ["a laptop on battery", { AC: mains(0), BAT0: battery("Discharging") }, false],
    ["a laptop charged by one of two plugs", { usb0: mains(0), usb1: mains(1), BAT0: battery("Full") }, true],
    ["a phone board with a battery alone, discharging", { BAT0: battery("Discharging") }, false],
    ["two batteries, one in use", { BAT0: battery("Discharging"), BAT1: battery("Unknown") }, false],
    ["a battery that is full", { BAT0: battery("Full") }, true],
    ["a desktop with a mouse's battery", { hid: { ...battery("Discharging"), scope: "Device" } }, true],
    ["a plug that is off and no battery", { usb: mains(0) }, true],
  ])("of %s", async (_, all, expected) => {
    expect(await isOnPower(await supplies(all))).toBe(expected);
  });

  it("is not known where nothing tells", async () => {
    expect(await isOnPower(join(root, "nothing here"))).toBeUndefined();
  });
});

describe("the benchmark", () => {
  it("measures a plausible speed, halved for half a core, and no more memory than allowed", async () => {
    const profile = await measureProfile({ milliseconds: 50, memoryBytes: 1e6 });
    // Slower than any machine that runs Node, faster than any core there is.
    expect(profile.macsPerSecond).toBeGreaterThan(1e6);
    expect(profile.macsPerSecond).toBeLessThan(1e13);
    expect(profile.memoryBytes).toBe(1e6);
    expect(await measureMemory()).toBeGreaterThan(1e6);
  });

  it("takes the best of three transfers, and none for a slow line", async () => {
    const waits = [30, 5, 30];
    const bandwidth = await measureBandwidth(async () => {
      await new Promise((resolve) => setTimeout(resolve, waits.shift()));
      return 1000;
    });
    expect(bandwidth).toBeLessThan(8000 / 0.004);
    expect(bandwidth).toBeGreaterThan(8000 / 5);
    expect(waits).toEqual([]);
    expect(await measureBandwidth(async () => 0)).toBe(5e6);
  });
});

describe("serviceUnit", () => {
  it("is a unit that starts at boot, restarts after a crash and stops gently", () => {
    const text = serviceUnit({
      command: [
        "/usr/bin/node",
        "/opt/my sheaf/main.js",
        "join",
        "https://c:8443",
        "--schedule",
        "22:00-06:00",
        "--max-cpu",
        "50%",
        '$HOME "x"',
      ],
      description: "https://c:8443",
      environment: { NODE_EXTRA_CA_CERTS: "/etc/sheaf/ca 1.pem" },
      scope: "system",
      user: "sheaf",
    });
    expect(text).toMatchInlineSnapshot(`
      "[Unit]
      Description=Sheaf device of https://c:8443
      After=network-online.target
      Wants=network-online.target
      StartLimitIntervalSec=0

      [Service]
      Type=exec
      ExecStart=/usr/bin/node "/opt/my sheaf/main.js" join https://c:8443 --schedule 22:00-06:00 --max-cpu 50%% "$$HOME \\"x\\""
      Environment="NODE_EXTRA_CA_CERTS=/etc/sheaf/ca 1.pem"
      User=sheaf
      Restart=on-failure
      RestartSec=15
      KillSignal=SIGINT
      SuccessExitStatus=130
      TimeoutStopSec=120
      Nice=10
      NoNewPrivileges=true

      [Install]
      WantedBy=multi-user.target
      "
    `);
    expect(serviceUnit({ command: ["a"], description: "b", scope: "user", user: "x" })).not.toMatch(/User=|network-online/);
  });
});
