/** A fleet as its operator meets it, in processes: TLS by fingerprint, client certificates, revocation, backup and restore, upgrade, limits, logs, a service. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, readdir, readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { killAll, type Running, start } from "./processes.ts";
import { built, json, type Scratch, scratch, sha256, sheaf, succeed } from "./sheaf.ts";

const data = "--data-set glyphs --train-count 200 --test-count 40".split(" ");
const run = "--network tiny --epochs 1 --batch 16 --sub-width 0.5 --set serve.minimumDevices=1".split(" ");
/** An address of this machine that a network reaches; TLS is then not a matter of choice. */
const outer = Object.values(networkInterfaces())
  .flat()
  .find((entry) => entry?.family === "IPv4" && !entry.internal)?.address;

afterEach(killAll);

describe.skipIf(!built)("an operator's fleet", () => {
  let folder: Scratch;
  beforeAll(async () => {
    folder = await scratch("operations");
  });
  afterAll(() => folder.remove());

  /** A coordinator in a store of that name, and the address to join it by. */
  async function serve(name: string, ...args: readonly string[]): Promise<{ readonly coordinator: Running; readonly address: string }> {
    const coordinator = start(["serve", ...args, "--store", folder.at(name), "--port", "0"], folder.path);
    const [, address = ""] = await coordinator.until(/^To join +sheaf join (\S+)$/m);
    return { coordinator, address };
  }
  const joining = (address: string, name: string, ...args: readonly string[]): readonly string[] => [
    "join",
    address,
    ...data,
    ...["--state", folder.at(`${name}.device`), "--name", name, "--profile", "raspberry-pi-4"],
    ...args,
  ];
  const join = (address: string, name: string, ...args: readonly string[]): Running => start(joining(address, name, ...args), folder.path);

  it.skipIf(outer === undefined)("is joined over TLS by fingerprint alone, and tells no secret in its logs", async () => {
    const { coordinator, address } = await serve("tls", ...data, ...run, "--host", "0.0.0.0", "--verbose");
    const [url = "", secret = ""] = address.split("#");
    const [token = "", pin = ""] = secret.split(":");
    expect(url).toMatch(/^https:\/\/\d/);
    const wrong = await sheaf(joining(`${url}#${token}:${"0".repeat(64)}`, "eve"), { cwd: folder.path });
    expect(wrong).toMatchObject({ code: 3, stderr: expect.stringMatching(/does not show the certificate.*get the line anew/) });
    const plain = await sheaf(joining(address.replace("https:", "http:"), "eve"), { cwd: folder.path });
    expect(plain).toMatchObject({ code: 2, stderr: expect.stringContaining("https") });
    const unpinned = await sheaf(["doctor", url, "--json"], { cwd: folder.path });
    expect(unpinned.code).toBe(10);
    expect(await json(["doctor", `${url}#:${pin}`], { cwd: folder.path })).toMatchObject({ ok: true });
    const used = await sheaf(joining(`${url}#sheafjoin-${"A".repeat(43)}:${pin}`, "eve"), { cwd: folder.path });
    expect(used.code).toBe(3);
    expect(used.stderr).not.toMatch(/\n\s+at |Error:/);

    const device = join(address, "ann");
    await coordinator.until(/^SHA-256 +[0-9a-f]{64}$/m);
    await device.until(/handed in statistics-ann\n.*waits for work/);
    const health = await promisify(execFile)("curl", ["-sk", `${url}/healthz`]).catch(() => undefined);
    if (health) expect(JSON.parse(health.stdout)).toMatchObject({ status: "ok" });
    const viewer = (await json(["devices", "invite", "--role", "viewer", "--store", folder.at("tls")])) as {
      line: string;
      token: string;
    };
    const seen = (await json(viewer.line.split(" ").slice(1), { cwd: folder.path })) as { devices: readonly { name: string }[] };
    expect(seen.devices).toMatchObject([{ name: "ann" }]);

    expect(await json(["devices", "revoke", "ann", "--store", folder.at("tls")])).toMatchObject({ status: "revoked" });
    expect(await device.ended).toBe(3);
    expect(device.said().trim().split("\n").at(-1)).toMatch(/^sheaf: .*revoked/);
    const again = await sheaf(joining(url, "ann"), { cwd: folder.path });
    expect(again).toMatchObject({ code: 3, stderr: expect.stringMatching(/revoked/) });

    coordinator.child.kill("SIGINT");
    expect(await coordinator.ended).toBe(0);
    const logs = coordinator.said().replace(/^(To join|In a browser|Dashboard) .*$/gm, "") + device.said() + used.stderr;
    const keys = await Promise.all(
      ["tls/token.key", "tls/authority/ca.key", "tls/authority/server.key", "ann.device/identity"].map((path) => readFile(folder.at(path))),
    );
    expect(logs).toContain('"level"');
    for (const word of [token, viewer.token, "sheaf1.", "sheafjoin-", "Bearer", "PRIVATE KEY"]) expect(logs).not.toContain(word);
    for (const key of keys) {
      const texts = [key.toString("base64"), key.toString("base64url"), key.toString("hex"), ...key.toString("latin1").trim().split("\n")];
      for (const text of texts) if (text.length > 20) expect(logs).not.toContain(text);
    }
  });

  it("lets in only certified devices where that is asked for, until the certificate is revoked", async () => {
    const { coordinator, address } = await serve("certified", ...data, ...run, "--client-certificates");
    const authority = ["--authority", folder.at("certified/authority")];
    const bare = await sheaf(joining(address, "bare"), { cwd: folder.path });
    expect(bare).toMatchObject({ code: 10, stderr: expect.stringMatching(/where it asks for client certificates/) });
    const issued = (await json(["cert", "device", "pi", ...authority])) as { certificatePath: string; keyPath: string; serial: string };
    const shown = ["--certificate", issued.certificatePath, "--key", issued.keyPath];
    const device = join(address, "pi", ...shown);
    await coordinator.until(/^SHA-256 /m);
    // Commands on this machine have a certificate of their own.
    expect(await json(["status", "--store", folder.at("certified")])).toMatchObject({ devices: [{ name: "pi" }] });
    device.child.kill("SIGINT");
    expect(await device.ended).toBe(0);
    expect(device.said()).toContain("Stopped; the same command goes on where it was.");
    await json(["cert", "revoke", issued.serial, ...authority]);
    await new Promise((resolve) => setTimeout(resolve, 6000));
    const [, token = ""] = address.split("#");
    const late = await sheaf([...joining(`${address.split("#")[0]}#${token}`, "late"), ...shown], { cwd: folder.path });
    expect(late).toMatchObject({ code: 10, stderr: expect.stringMatching(/not revoked/) });
    expect((await sheaf(["join", address, ...data, "--key", issued.keyPath])).stderr).toMatch(/belong together/);
  });

  it("is backed up at work and goes on from there with the same model", async () => {
    const port = 18_000 + (process.pid % 2000);
    const long = [
      ...data,
      ..."--network tiny --epochs 40 --batch 4 --sub-width 0.5 --set serve.minimumDevices=1 --set checkpointSeconds=0.1".split(" "),
    ];
    const serving = (store: string, out: string): Running =>
      start(
        ["serve", ...long, "--store", folder.at(store), "--out", folder.at(out), "--port", String(port), "--until-finished"],
        folder.path,
      );
    const coordinator = serving("saved", "saved-out");
    const [, address = ""] = await coordinator.until(/^To join +sheaf join (\S+)$/m);
    const device = join(address, "ann", "--set", "checkpointSeconds=0.1", "--state", folder.at("saved.device"));
    await device.until(/training: epoch/);
    const backup = (await json(["backup", folder.at("fleet.tar"), "--store", folder.at("saved")])) as { head: string };
    expect(await coordinator.ended, coordinator.said()).toBe(0);
    const expected = await sha256(folder.at("saved-out/model.onnx"));
    device.child.kill("SIGKILL");
    await device.ended;
    // The disk is lost; another computer takes over, under the same address.
    expect(await json(["restore", folder.at("fleet.tar"), "--store", folder.at("again")])).toMatchObject({
      head: backup.head,
      runs: [{ status: "training" }],
    });
    expect((await sheaf(["restore", folder.at("fleet.tar"), "--store", folder.at("again")])).code).toBe(2);
    const restored = serving("again", "again-out");
    await restored.until(/going on where it was/);
    const back = join(address.split("#")[0] as string, "ann", "--set", "checkpointSeconds=0.1", "--state", folder.at("saved.device"));
    expect(await restored.ended, `${restored.said()}${back.said()}`).toBe(0);
    expect(await sha256(folder.at("again-out/model.onnx"))).toBe(expected);
    expect(await json(["audit", "verify", "--store", folder.at("again"), "--noted", backup.head])).toMatchObject({ ok: true });
  });

  it("takes up a folder of an older layout, and no newer one", async () => {
    const store = folder.at("old");
    await cp(fileURLToPath(new URL("../fixtures/store/layout1", import.meta.url)), store, { recursive: true });
    const coordinator = start(["serve", "--store", store, "--port", "0"], folder.path);
    await coordinator.until(/Upgraded \S+ from layout 1 to \d+; the log as it was is kept in \S+log\.sqlite\.layout1\./);
    // Without any setting, it goes on with the run that is there.
    await coordinator.until(/Run +fleet +\S+, going on where it was/);
    await coordinator.until(/^SHA-256 /m);
    expect(await json(["runs", "--store", store])).toMatchObject({ runs: [{ name: "fleet", status: "finished" }] });
    coordinator.child.kill("SIGINT");
    await coordinator.ended;
    expect(await readdir(store)).toContain("log.sqlite.layout1");
  });

  it("keeps to the hours, the memory and the processor that a device's owner allows", async () => {
    const { coordinator, address } = await serve("limits", ...data, ...run);
    const hour = (offset: number): string => `${String((new Date().getHours() + offset + 24) % 24).padStart(2, "0")}:00`;
    // Whoever joins first has the only part of the plan.
    const half = join(address, "half", "--max-cpu", "0.5", "--only-on-power");
    await half.until(/handed in train-half/);
    const asleep = join(address, "night", "--schedule", `${hour(2)}-${hour(4)}`);
    await asleep.until(new RegExp(`pauses: its hours begin at ${hour(2)}`));
    await half.until(/handed in statistics-half/);
    expect(asleep.said()).not.toMatch(/waits for work|begins /);
    asleep.child.kill("SIGINT");
    half.child.kill("SIGINT");
    expect([await asleep.ended, await half.ended]).toEqual([0, 0]);
    await coordinator.until(/night has joined/);
    for (const [option, value] of [
      ["--schedule", "9-17"],
      ["--schedule", "22:00-22:00"],
      ["--max-cpu", "lots"],
      ["--max-memory", "-1"],
    ] as const) {
      const refused = await sheaf(joining(address, "wrong", option, value), { cwd: folder.path });
      expect(refused, `${option} ${value}`).toMatchObject({ code: 2, stderr: expect.stringMatching(new RegExp(`^sheaf: ${option}.*\n$`)) });
    }
  });

  it("says why there is no plan where a device allows too little memory", async () => {
    const { coordinator, address } = await serve("memory", ...data, ...run);
    join(address, "tiny", "--max-memory", "1kB");
    await coordinator.until(/no plan yet: .*memory/);
    expect(await json(["status", "--store", folder.at("memory")])).toMatchObject({ runs: [{ status: "waiting" }] });
  });

  it("is joined by a service that systemd takes", async () => {
    const { address } = await serve("service", ...data, ...run);
    const { stdout } = await succeed(joining(address, "pi", "--install", "--schedule", "22:00-06:00", "--max-cpu", "50%"), {
      cwd: folder.path,
      env: { XDG_CONFIG_HOME: folder.at("config") },
    });
    const [, unit = ""] = /^Unit +(\S+)$/m.exec(stdout) ?? [];
    const text = await readFile(unit, "utf8");
    expect(text).toContain("--schedule 22:00-06:00");
    expect(text).not.toContain("sheafjoin-");
    if (!existsSync("/usr/bin/systemd-analyze")) return console.log("systemd-analyze is not there: the unit is not verified.");
    await mkdir(folder.at("runtime"), { recursive: true, mode: 0o700 });
    const env = { ...process.env, XDG_RUNTIME_DIR: folder.at("runtime"), HOME: folder.path };
    const { stderr } = await promisify(execFile)("systemd-analyze", ["--user", "verify", unit], { env });
    expect(stderr).not.toContain(unit.split("/").at(-1));
  });
});
