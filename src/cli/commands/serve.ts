/** `sheaf serve`: the coordinator of a live fleet. */
import { existsSync } from "node:fs";
import { hostname, networkInterfaces } from "node:os";
import { join } from "node:path";
import { Option } from "commander";
import { createAuthority, type Issued, openAuthority } from "../../coordinator/certificates.node.ts";
import type { LogEntry } from "../../coordinator/chain.ts";
import { isLoopback, type TlsOptions } from "../../coordinator/listen.node.ts";
import { openLog } from "../../coordinator/log.ts";
import type { Run } from "../../coordinator/state.ts";
import { modelRole } from "../../coordinator/views.ts";
import { evaluationRole } from "../../fleet/assemble.ts";
import { isWildcard, type RunningCoordinator, startCoordinator } from "../../fleet/coordinator.ts";
import { plainFingerprint } from "../../fleet/trust.ts";
import { SheafError } from "../../util/errors.ts";
import { readFileChecked, writeFileAtomic } from "../../util/files.node.ts";
import { formatBytes, formatPercent } from "../../util/format.ts";
import type { CommandSpec, Invocation } from "../command.ts";
import { hoursOf, portOf, wholeOf } from "../numbers.ts";
import { readConfig } from "../options.ts";

/** Folder of the coordinator's state where none is given. */
export const defaultStore = "sheaf-fleet";

interface Tls {
  readonly tls: TlsOptions;
  /** Undefined where devices are to know the authority by other means. */
  readonly pin?: string;
}

/** Addresses by which others may reach this machine. */
const outerAddresses = (): readonly string[] =>
  Object.values(networkInterfaces()).flatMap((entries) =>
    (entries ?? []).flatMap(({ internal, family, address }) => (internal || family !== "IPv4" ? [] : [address])),
  );

const textOf = async (path: string, what: string): Promise<string> => new TextDecoder().decode(await readFileChecked(path, what));

/** Certificates as given, or by an authority of the coordinator's own. */
async function tlsOf({ options, terminal }: Invocation, store: string, host: string): Promise<Tls | undefined> {
  const { tlsKey, tlsCert, authority } = options as { readonly tlsKey?: string; readonly tlsCert?: string; readonly authority?: string };
  if ((tlsKey === undefined) !== (tlsCert === undefined))
    throw new SheafError("usage", "--tls-cert and --tls-key belong together; give both.");
  if (tlsKey !== undefined && tlsCert !== undefined)
    return { tls: { key: await textOf(tlsKey, "TLS key"), certificate: await textOf(tlsCert, "TLS certificate") } };
  if (isLoopback(host) && authority === undefined && options.tls !== true) return undefined;
  const folder = authority ?? join(store, "authority");
  const isThere = existsSync(join(folder, "ca.pem"));
  const opened = isThere ? await openAuthority(folder) : await createAuthority(folder);
  const hosts = (options.hostName as readonly string[] | undefined) ?? [];
  const named = isWildcard(host) ? outerAddresses() : [host];
  const issued: Issued = await opened.issueServer([...new Set([...hosts, ...named, hostname(), "localhost", "127.0.0.1"])]);
  if (!isThere) terminal.note(`Made a certificate authority in ${folder}; whoever has its key can pose as this coordinator.`);
  return {
    tls: { key: issued.key, certificate: `${issued.certificate}\n${opened.certificate}` },
    pin: plainFingerprint(opened.fingerprint),
  };
}

/** An entry of the log as a line for people; undefined for what they need not see. */
function lineOf(coordinator: RunningCoordinator, { event }: LogEntry): string | undefined {
  const { devices, runs, leases, endedLeases } = coordinator.live.state;
  const nameOf = (deviceId: string): string => devices.get(deviceId)?.name ?? deviceId;
  const lease = "leaseId" in event ? (leases.get(event.leaseId) ?? endedLeases.get(event.leaseId)) : undefined;
  switch (event.type) {
    case "device.enrolled":
      return `${event.name} has joined (${event.data.classNames.length} classes, ${event.software})`;
    case "plan.made":
      return `planned: ${event.slots.map(({ slot, taskSet }) => `${slot} (${taskSet.length} classes)`).join(", ")}`;
    case "plan.refused":
      return `no plan yet: ${event.reason}`;
    case "phase.started":
      return `phase ${event.phase}${event.pass === undefined ? "" : ` ${event.pass}`}: ${event.tasks.length} tasks`;
    case "offer.leased":
      return `${nameOf(event.deviceId)} works on ${event.taskId}${event.why === "own" ? "" : ` (${event.why})`}`;
    case "lease.completed":
      return `${nameOf(event.deviceId)} has done ${event.taskId}${event.evaluation ? ` (own classes ${formatPercent(event.evaluation.own ?? 0)})` : ""}`;
    case "lease.expired":
    case "lease.failed":
      return `${nameOf(lease?.deviceId ?? "")} has lost ${lease?.taskId ?? "a task"}: ${event.reason}`;
    case "upload.quarantined":
      return `${nameOf(event.deviceId)}: result of ${event.taskId} refused: ${event.reason}`;
    case "task.givenUp":
      return `${event.taskId} is given up: ${event.reason}`;
    case "run.failed":
      return `the run failed: ${event.reason}`;
    case "run.finished":
      return `run ${runs.get(event.runId)?.definition.name ?? event.runId} is finished`;
    default:
      return undefined;
  }
}

/** Writes what a finished run made, and says what it is. */
async function writeModel(coordinator: RunningCoordinator, run: Run, out: string) {
  const model = run.outputs?.find(({ role }) => role === modelRole);
  if (!model) throw new SheafError("unavailable", `Run "${run.definition.name}" has ended without a model: ${run.reason ?? run.phase}.`);
  const path = join(out, "model.onnx");
  await writeFileAtomic(path, await coordinator.readObject(model));
  const evaluation = run.outputs?.find(({ role }) => role === evaluationRole);
  const measured = evaluation
    ? (JSON.parse(new TextDecoder().decode(await coordinator.readObject(evaluation))) as { accuracy: number })
    : undefined;
  const missingClasses = (run.missingClasses ?? []).map((classId) => run.definition.classNames[classId] ?? "");
  return {
    model: path,
    modelSha256: model.sha256,
    bytes: model.bytes,
    missingClasses,
    ...(measured ? { accuracy: measured.accuracy } : {}),
  };
}

export const serve: CommandSpec = {
  name: "serve",
  summary: "coordinate a live fleet: devices join, train with the data they have, and the model is made here",
  arguments: "[config]",
  flags: [
    "trainCount",
    "testCount",
    "network",
    "width",
    "epochs",
    "batch",
    "learningRate",
    "subWidth",
    "redundancy",
    "classesPerDevice",
    "rho",
    "head",
  ],
  options: [
    new Option("--store <dir>", "folder of the coordinator's state; go on with the same one after a crash").default(defaultStore),
    new Option("--host <address>", "address to listen on; 0.0.0.0 for all").default("127.0.0.1"),
    new Option("--port <n>", "port; 0 for any free one").argParser(portOf).default(8470),
    new Option("--url <url>", "address that devices use, where it is another"),
    new Option("--host-name <name>", "further name or address for the certificate; repeatable").argParser(
      (name: string, before: readonly string[] | undefined) => [...(before ?? []), name],
    ),
    new Option("--tls", "TLS on this machine's own address too; on others there always is"),
    new Option("--authority <dir>", "certificate authority made by sheaf cert; one in --store by default"),
    new Option("--tls-cert <file>", "certificate (PEM) by an authority that devices trust anyway"),
    new Option("--tls-key <file>", "its key (PEM)"),
    new Option("--name <name>", "name of the run").default("fleet"),
    new Option("--uses <n>", "devices that the line to join is good for").argParser(wholeOf).default(100),
    new Option("--hours <n>", "hours that the line to join is good for").argParser(hoursOf).default(24),
    new Option("--until-finished", "stop when the run is over, instead of on Ctrl-C"),
  ],
  examples: [
    ["serve examples/fleet.yaml --host 0.0.0.0", "others on the network join by the printed line"],
    ["serve --data-set glyphs --network tiny --epochs 2 --set serve.minimumDevices=2", "on this machine alone, to try it"],
    ["serve examples/fleet.yaml --until-finished --out models/night", "stop when the model is there"],
  ],
  async run(invocation) {
    const { options, terminal, signal } = invocation;
    const [file] = invocation.arguments;
    if (file !== undefined && options.config !== undefined)
      throw new SheafError("usage", "The configuration is given twice; leave --config out.");
    const config = await readConfig(file === undefined ? options : { ...options, config: file });
    const store = options.store as string;
    const host = options.host as string;
    const secured = await tlsOf(invocation, store, host);
    await using coordinator = await startCoordinator({
      store,
      host,
      port: options.port as number,
      ...(secured ? { tls: secured.tls } : {}),
      ...(secured?.pin === undefined ? {} : { pin: secured.pin }),
      ...(isWildcard(host) ? { publicHost: outerAddresses()[0] ?? hostname() } : {}),
      ...(options.url === undefined ? {} : { url: String(options.url) }),
      ...(options.data === undefined ? {} : { dataFolder: options.data }),
      log: openLog((line) => process.stderr.write(`${line}\n`), Date.now, options.verbose ? "debug" : "warn"),
    });
    const { runId, isNew } = await coordinator.ensureRun(options.name as string, config as unknown as Readonly<Record<string, unknown>>);
    const { line, page } = await coordinator.joinLine(options.uses as number, options.hours as number);
    const dashboard = await coordinator.dashboardAddress(options.hours as number);
    terminal.print(`Coordinator  ${coordinator.url}  (state in ${store})`);
    terminal.print(`Run          ${options.name as string} ${runId}${isNew ? "" : ", going on where it was"}`);
    terminal.print(`To join      ${line}`);
    terminal.print(`In a browser ${page}`);
    terminal.print(`Dashboard    ${dashboard}  (for one sign-in)\n`);
    if (options.untilFinished !== true)
      terminal.printJson({ url: coordinator.url, runId, isNew, joinLine: line, joinPage: page, dashboard, store });
    const stop = coordinator.live.listen((entries) => {
      for (const entry of entries) {
        const said = lineOf(coordinator, entry);
        if (said !== undefined) terminal.note(`${new Date(entry.event.at).toISOString().slice(11, 19)}  ${said}`);
      }
    });
    try {
      const run = await coordinator.untilOver(runId, signal);
      if (signal.aborted) {
        if (options.untilFinished === true)
          throw new SheafError("interrupted", `The coordinator was stopped; the same command with --store ${store} goes on.`);
        return;
      }
      const written = await writeModel(coordinator, run, options.out ?? join(store, "runs", runId));
      const { model, modelSha256, bytes, accuracy, missingClasses } = written;
      terminal.print(`Model        ${model} (${formatBytes(bytes)})`);
      terminal.print(`SHA-256      ${modelSha256}`);
      if (accuracy !== undefined) terminal.print(`Accuracy     ${formatPercent(accuracy)} on validation samples`);
      if (missingClasses.length > 0) terminal.print(`Missing      ${missingClasses.join(", ")}`);
      if (options.untilFinished === true) {
        terminal.printJson({ url: coordinator.url, runId, isNew, joinLine: line, joinPage: page, dashboard, store, ...written });
        // Devices hear that there is no more work before the door closes.
        return;
      }
      await new Promise<void>((resolve) =>
        signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve(), { once: true }),
      );
    } finally {
      stop();
    }
  },
};
