/** `sheaf join`: this machine as a device of a live fleet. */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { availableParallelism, homedir, hostname } from "node:os";
import { join as joinPath, resolve } from "node:path";
import { Option } from "commander";
import type { JoinEvent } from "../../agent/joinNode.node.ts";
import { type Limits, parseCpuShare, parseHours, parseMemory } from "../../agent/limits.ts";
import { serviceUnit } from "../../agent/service.ts";
import type { Dataset } from "../../data/dataset.ts";
import { type JoinAddress, parseJoinAddress } from "../../fleet/address.ts";
import type { ClientCertificate } from "../../fleet/trust.ts";
import { catalogNames } from "../../plan/catalog.ts";
import type { Fetch } from "../../protocol/exchange.ts";
import type { RunConfig } from "../../run/config.ts";
import { readFileChecked, writeFileAtomic } from "../../util/files.node.ts";
import { formatBytes, formatCount, formatPercent } from "../../util/format.ts";
import type { CommandSpec, Invocation } from "../command.ts";
import { clientCertificate, notAnswering } from "../coordinator.ts";
import { clockTime } from "../terminal.ts";

function limitsOf({ options }: Invocation): Limits {
  return {
    ...(options.maxCpu === undefined ? {} : { cpuShare: parseCpuShare(String(options.maxCpu), availableParallelism()) }),
    ...(options.maxMemory === undefined ? {} : { memoryBytes: parseMemory(String(options.maxMemory)) }),
    ...(options.onlyOnPower === true ? { onlyOnPower: true } : {}),
    ...(options.schedule === undefined ? {} : { hours: parseHours(String(options.schedule)) }),
  };
}

/** Folder of the device's state: one for each coordinator. */
function defaultState(url: string): string {
  const base = process.env.XDG_STATE_HOME ?? joinPath(homedir(), ".local", "state");
  return joinPath(base, "sheaf", new URL(url).host.replace(/[^A-Za-z0-9.-]+/g, "-"));
}

/** Trusts the authority that the line named, now and after a restart; the system's authorities where there is none. */
async function trusted({ url, pin }: JoinAddress, stateFolder: string, shown: ClientCertificate | undefined): Promise<Fetch | undefined> {
  const { authorityOf, fetchTrusting } = await import("../../fleet/trust.ts");
  const file = joinPath(stateFolder, "authority.pem");
  if (pin !== undefined) {
    const authority = await authorityOf(url, pin);
    await mkdir(stateFolder, { recursive: true, mode: 0o700 });
    await writeFileAtomic(file, authority);
    return fetchTrusting(authority, shown);
  }
  const authority = existsSync(file) ? new TextDecoder().decode(await readFileChecked(file, "authority")) : undefined;
  return authority !== undefined || shown ? fetchTrusting(authority, shown) : undefined;
}

/** What a device does, as a line; undefined for what comes too often. */
function sentenceOf(event: JoinEvent): string | undefined {
  switch (event.type) {
    case "measured":
      return `measured ${formatCount(event.profile.macsPerSecond)}MAC/s, ${formatBytes(event.profile.memoryBytes)} of memory`;
    case "given":
      return `trains with ${formatCount(event.samples)} samples (${formatBytes(event.bytes)}) that run ${event.runId} offers`;
    case "joined":
      return event.isNew ? `joined as ${event.enrolled.deviceId}` : `joined again as ${event.enrolled.deviceId}`;
    case "waiting":
      return "waits for work";
    case "paused":
      return `pauses: ${event.reason}`;
    case "working":
      return `${event.resumed ? "goes on with" : "begins"} ${event.taskId}`;
    case "progress":
      return event.phase === "training" && event.epoch !== undefined
        ? `training: epoch ${event.epoch}, ${formatPercent(event.progress)}`
        : `${event.phase}: ${formatPercent(event.progress)}`;
    case "made":
      return `has made ${event.taskId}`;
    case "handedIn":
      return `handed in ${event.taskId}${event.accepted ? "" : `, refused: ${event.reason ?? ""}`}`;
    case "gaveBack":
      return `gave ${event.taskId} back: ${event.failure.reason}`;
    case "dropped":
      return `dropped ${event.taskId}: ${event.reason}`;
    case "retrying":
      return `${event.what} is tried again in ${Math.ceil(event.delayMs / 1000)} s: ${event.reason}`;
    case "problem":
      return event.message;
  }
}

/** Tells what happens, and of progress how each phase of a task begins and then not more than a line in some seconds. */
function teller({ terminal }: Invocation): (event: JoinEvent) => void {
  let last = 0;
  let phase: string | undefined;
  let said = "";
  return (event) => {
    if (event.type === "progress") {
      if (event.phase === phase && performance.now() - last < 2000) return;
      last = performance.now();
      ({ phase } = event);
    } else {
      phase = undefined;
    }
    const sentence = sentenceOf(event);
    if (sentence === undefined || sentence === said) return;
    said = sentence;
    terminal.note(`${clockTime(Date.now())}  ${sentence}`);
  };
}

/** Options that a service repeats; what is secret or done once is not among them. */
function serviceArguments({ options }: Invocation, url: string, state: string): readonly string[] {
  const given = (flag: string, value: unknown): readonly string[] => (value === undefined ? [] : [flag, String(value)]);
  return [
    "join",
    url,
    ...given("--state", resolve(state)),
    // A path is taken from here; a unit starts elsewhere.
    ...given("--data-set", options.dataSet !== undefined && existsSync(options.dataSet) ? resolve(options.dataSet) : options.dataSet),
    ...(options.offered === true ? ["--offered"] : []),
    ...given("--train-count", options.trainCount),
    ...given("--test-count", options.testCount),
    ...given("--data", options.data && resolve(options.data)),
    ...given("--config", options.config && resolve(options.config)),
    ...(options.set ?? []).flatMap((assignment) => ["--set", assignment]),
    ...given("--name", options.name),
    ...given("--max-cpu", options.maxCpu),
    ...given("--max-memory", options.maxMemory),
    ...(options.onlyOnPower === true ? ["--only-on-power"] : []),
    ...given("--schedule", options.schedule),
    ...(options.privateCounts === true ? ["--private-counts"] : []),
    ...given("--certificate", options.certificate && resolve(String(options.certificate))),
    ...given("--key", options.key && resolve(String(options.key))),
  ];
}

async function install(invocation: Invocation, url: string, state: string): Promise<string> {
  const path = joinPath(
    process.env.XDG_CONFIG_HOME ?? joinPath(homedir(), ".config"),
    "systemd",
    "user",
    `sheaf-${new URL(url).hostname.replace(/[^A-Za-z0-9]+/g, "-")}.service`,
  );
  const command = [process.execPath, process.argv[1] ?? "sheaf", ...serviceArguments(invocation, url, state)];
  await writeFileAtomic(path, serviceUnit({ command, description: url, scope: "user" }));
  return path;
}

/** Data of this machine, loaded with a progress line. */
async function ownData({ options, terminal, signal }: Invocation, config: RunConfig): Promise<Dataset> {
  const { loadData } = await import("../../run/loadData.ts");
  const { openProgress } = await import("../progress.ts");
  const display = openProgress(terminal);
  return (await loadData(config, options, display.data, signal).finally(() => display.close())).train;
}

export const join: CommandSpec = {
  flags: ["trainCount", "testCount"],
  options: [
    new Option("--token <token>", "join token, where it does not stand in the address"),
    new Option("--offered", "train with data that a run offers, in place of data of this machine"),
    new Option("--state <dir>", "folder of this device's key and checkpoints; one for each coordinator by default"),
    new Option("--name <name>", "name of this device; the machine's by default"),
    new Option("--profile <name>", "take a profile of the catalog instead of measuring this machine").choices([...catalogNames]),
    new Option("--prefer <class>", "a class that it would like to own; repeatable, dearest first").argParser(
      (name: string, before: readonly string[] | undefined) => [...(before ?? []), name],
    ),
    new Option("--max-cpu <share>", "share of the processor, such as 50% or 0.5 cores"),
    new Option("--max-memory <amount>", "memory, such as 512MB"),
    new Option("--only-on-power", "pause on battery"),
    new Option("--schedule <hours>", "work at these hours alone, such as 22:00-06:00"),
    new Option("--private-counts", "tell which classes there are and not how many samples"),
    new Option("--certificate <file>", "client certificate (PEM) for coordinators that ask for one"),
    new Option("--key <file>", "its key (PEM)"),
    new Option("--install", "join, write a systemd unit that goes on from here, and stop"),
  ],
  examples: [
    ["join https://192.168.1.7:8470#sheafjoin-TOKEN:PIN --data-set photos", "as `sheaf serve` prints it, and which data to train with"],
    ["join https://192.168.1.7:8470 --data-set photos --schedule 22:00-06:00 --max-cpu 50%", "again, at night, with half of the processor"],
  ],
  async run(invocation) {
    const { options, terminal, signal } = invocation;
    const address = parseJoinAddress(invocation.arguments[0] ?? "");
    const state = (options.state as string | undefined) ?? defaultState(address.url);
    const joinToken = (options.token as string | undefined) ?? address.token;
    const limits = limitsOf(invocation);
    const config = await invocation.config();
    const data = options.offered === true ? "offered" : await ownData(invocation, config);
    const fetch = await trusted(address, state, await clientCertificate(options.certificate, options.key));
    const tell = teller(invocation);
    const done = new AbortController();
    const profile = options.profile as string | undefined;
    const name = (options.name as string | undefined) ?? hostname();
    let deviceId = "";
    const { joinFleet } = await import("../../agent/joinNode.node.ts");
    await joinFleet({
      url: address.url,
      ...(joinToken === undefined ? {} : { joinToken }),
      stateFolder: state,
      data,
      name,
      limits,
      privateCounts: options.privateCounts === true,
      ...(options.prefer === undefined ? {} : { preferredClasses: options.prefer as readonly string[] }),
      checkpointSeconds: config.checkpointSeconds,
      ...(fetch ? { fetch } : {}),
      ...(profile === undefined
        ? {}
        : {
            profile: async () => {
              const { resolveProfile } = await import("../../plan/device.ts");
              const { macsPerSecond, memoryBytes, bandwidthBitsPerSecond } = resolveProfile(profile);
              // What the owner allows holds for a stated machine too.
              return {
                macsPerSecond: macsPerSecond * (limits.cpuShare ?? 1),
                memoryBytes: Math.min(memoryBytes, limits.memoryBytes ?? memoryBytes),
                bandwidthBitsPerSecond,
              };
            },
          }),
      onEvent: (event) => {
        tell(event);
        if (event.type !== "joined") return;
        deviceId = event.enrolled.deviceId;
        terminal.print(`Device  ${name} ${deviceId}\nState   ${state}`);
        if (options.install === true) done.abort();
        else terminal.printJson({ deviceId, name, state });
      },
      signal: AbortSignal.any([signal, done.signal]),
    }).catch(async (error: unknown) => {
      throw await notAnswering(error, address.url, "look whether `sheaf serve` runs there and whether this machine can reach it");
    });
    if (signal.aborted) terminal.note("Stopped; the same command goes on where it was.");
    if (options.install !== true || deviceId === "") return;
    const unit = await install(invocation, address.url, state);
    terminal.printJson({ deviceId, name, state, unit });
    terminal.print(`Unit    ${unit}\n\nStart it, now and after each login:\n  systemctl --user enable --now ${unit.split("/").at(-1)}`);
  },
};
