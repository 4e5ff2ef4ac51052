/** `sheaf doctor`: whether this machine can do what Sheaf needs, and what to do where it cannot. */
import { access, constants, mkdir, statfs } from "node:fs/promises";
import { join } from "node:path";
import { parseJoinAddress } from "../../fleet/address.ts";
import { commitOf, machineFacts, sheafVersion } from "../../run/machine.ts";
import { SheafError } from "../../util/errors.ts";
import { writeFileAtomic } from "../../util/files.node.ts";
import { formatBytes } from "../../util/format.ts";
import { canonicalJson } from "../../util/json.ts";
import { floats } from "../../util/tensor.ts";
import type { CommandSpec } from "../command.ts";
import { notAnswering } from "../coordinator.ts";

interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  /** Without it Sheaf does not work. */
  readonly needed: boolean;
}

/** Runs a check; what it throws becomes its detail. */
async function check(name: string, needed: boolean, body: () => Promise<string>): Promise<Check> {
  try {
    return { name, ok: true, needed, detail: await body() };
  } catch (error) {
    return { name, ok: false, needed, detail: error instanceof Error ? error.message : String(error) };
  }
}

/** One small product through ONNX Runtime, compared with its known value. */
async function runtimeWorks(): Promise<string> {
  const { GraphBuilder } = await import("../../onnx/builder.ts");
  const { writeOnnx } = await import("../../onnx/write.ts");
  const { openSession } = await import("../../runtime/session.node.ts");
  const b = new GraphBuilder();
  const x = b.input("x", "float32", [2, 2]);
  b.output("y", b.matMul(x, x));
  const session = await openSession(writeOnnx(b.build("doctor")));
  try {
    const { y } = await session.run({ x: floats("float32", [2, 2], [1, 2, 3, 4]) });
    const got = Array.from(y?.data as Float32Array).join(", ");
    if (got !== "7, 10, 15, 22")
      throw new SheafError("unavailable", `a 2x2 product gave ${got} instead of 7, 10, 15, 22; reinstall with npm ci`);
    return `onnxruntime-node ${machineFacts().onnxruntime["onnxruntime-node"]} computes`;
  } finally {
    await session.dispose();
  }
}

/** Whether a coordinator answers, speaks this protocol, and what its clock says. */
async function coordinatorAnswers(text: string): Promise<string> {
  const { url, pin } = parseJoinAddress(text);
  const { authorityOf, fetchTrusting } = await import("../../fleet/trust.ts");
  const { openClient } = await import("../../protocol/client.ts");
  const fetch = pin === undefined ? {} : { fetch: fetchTrusting(await authorityOf(url, pin)) };
  const client = openClient({ url, credentials: { type: "none" }, timing: { attempts: 1 }, ...fetch });
  const sent = Date.now();
  const { now, protocol, serverId } = await client.call("health", {}).catch(async (error: unknown) => {
    throw await notAnswering(error, url, "look whether `sheaf serve` runs there and whether this machine can reach it");
  });
  const tookMs = Date.now() - sent;
  const aheadSeconds = Math.round((now - sent - tookMs / 2) / 1000);
  const clock = aheadSeconds === 0 ? "clocks agree" : `its clock is ${Math.abs(aheadSeconds)} s ${aheadSeconds > 0 ? "ahead" : "behind"}`;
  return `${serverId} answers in ${tookMs} ms, protocol ${protocol}, ${clock}`;
}

export const doctor: CommandSpec = {
  examples: [
    ["doctor", "a line for each check"],
    ["doctor https://192.168.1.7:8470", "and whether this coordinator is reached"],
    ["doctor --json", "for a bug report"],
  ],
  async run({ arguments: [url], options, terminal }) {
    const { datasetNames } = await import("../../data/catalog.ts");
    const { cacheFolder, findDataset } = await import("../../data/find.node.ts");
    const machine = machineFacts();
    const commit = await commitOf();
    const [major = 0, minor = 0] = machine.node.slice(1).split(".").map(Number);
    const checks = [
      await check("node", true, async () => {
        if (major < 20 || (major === 20 && minor < 19))
          throw new SheafError("unavailable", `${machine.node} is too old; install Node 20.19 or newer`);
        return machine.node;
      }),
      await check("onnxruntime", true, runtimeWorks),
      await check("images", false, async () => `sharp ${(await import("sharp")).default.versions.sharp} decodes PNG, JPEG and WebP`),
      await check("memory", false, async () => {
        const free = (await import("node:os")).freemem();
        if (free < 1e9) throw new SheafError("unavailable", `only ${formatBytes(free)} free; training a full VGG-11 wants about 1 GB`);
        return `${formatBytes(free)} free of ${formatBytes(machine.memoryBytes)}`;
      }),
      await check("disk", true, async () => {
        const folder = options.out ?? ".";
        await mkdir(folder, { recursive: true });
        await access(folder, constants.W_OK);
        const { bavail, bsize } = await statfs(folder);
        if (bavail * bsize < 500e6)
          throw new SheafError("storage", `only ${formatBytes(bavail * bsize)} free in ${folder}; a run wants 500 MB`);
        return `${formatBytes(bavail * bsize)} free in ${folder}`;
      }),
      ...(url === undefined ? [] : [await check("coordinator", true, () => coordinatorAnswers(url))]),
      ...(await Promise.all(
        datasetNames.map((name) =>
          check(`data ${name}`, false, async () => {
            const found = await findDataset(name, { dir: options.data });
            if (!found) throw new SheafError("data", `not at hand; downloaded to ${cacheFolder()} when used, or set --data or SHEAF_DATA`);
            return "folder" in found ? found.folder : "made in code";
          }),
        ),
      )),
    ];
    const ok = checks.every((c) => c.ok || !c.needed);
    const result = { ok, sheafVersion, ...(commit === undefined ? {} : { commit }), machine, checks };
    if (options.out) await writeFileAtomic(join(options.out, "doctor.json"), `${canonicalJson(result)}\n`);
    terminal.printJson(result);
    const { green, red, yellow } = terminal.colors;
    terminal.print(`Sheaf ${sheafVersion}${commit ? ` (${commit})` : ""} on ${machine.cpu}, ${machine.cores} cores, ${machine.platform}`);
    for (const c of checks) terminal.print(`${c.ok ? green("✓") : c.needed ? red("✗") : yellow("–")} ${c.name.padEnd(14)} ${c.detail}`);
    if (!ok)
      throw new SheafError(
        "unavailable",
        `This machine lacks ${checks
          .filter((c) => !c.ok && c.needed)
          .map((c) => c.name)
          .join(", ")}; see the lines above.`,
      );
  },
};
