/** `sheaf serve`: the coordinator of a live fleet. */
import { hostname } from "node:os";
import { join } from "node:path";
import { Option } from "commander";
import { openLog } from "../../coordinator/log.ts";
import type { Run } from "../../coordinator/state.ts";
import { isWildcard } from "../../fleet/address.ts";
import type { RunningCoordinator } from "../../fleet/coordinator.ts";
import type { RunConfig } from "../../run/config.ts";
import { SheafError } from "../../util/errors.ts";
import { removeTemporaries, writeFileAtomic } from "../../util/files.node.ts";
import { formatBytes, formatPercent } from "../../util/format.ts";
import type { CommandSpec } from "../command.ts";
import { defaultStore } from "../coordinator.ts";
import { counted, lineOf } from "../fleetLines.ts";
import { hoursOf, portOf, wholeOf } from "../numbers.ts";
import { hasSettings, readConfig } from "../options.ts";
import { clockTime } from "../terminal.ts";

/** The run of the given configuration; without one the newest that is there, so that a folder can be taken up again by its name alone. */
async function runFor(coordinator: RunningCoordinator, name: string, given: RunConfig | undefined, defaults: RunConfig) {
  const newest = [...coordinator.live.state.runs.values()].sort((a, b) => b.createdAt - a.createdAt)[0];
  if (given === undefined && newest) return { runId: newest.runId, isNew: false };
  return await coordinator.ensureRun(name, (given ?? defaults) as unknown as Readonly<Record<string, unknown>>);
}

/** Writes what a finished run made, and says what it is. */
async function writeModel(coordinator: RunningCoordinator, run: Run, out: string) {
  const { modelRole } = await import("../../coordinator/views.ts");
  const { evaluationRole } = await import("../../fleet/assemble.ts");
  const model = run.outputs?.find(({ role }) => role === modelRole);
  if (!model) throw new SheafError("unavailable", `Run "${run.definition.name}" has ended without a model: ${run.reason ?? run.phase}.`);
  const path = join(out, "model.onnx");
  await removeTemporaries(out, "model.onnx");
  await writeFileAtomic(path, await coordinator.readObject(model));
  const evaluation = run.outputs?.find(({ role }) => role === evaluationRole);
  const measured = evaluation
    ? (JSON.parse(new TextDecoder().decode(await coordinator.readObject(evaluation))) as { accuracy: number; samples: number })
    : undefined;
  const missingClasses = (run.missingClasses ?? []).map((classId) => run.definition.classNames[classId] ?? "");
  return {
    model: path,
    modelSha256: model.sha256,
    bytes: model.bytes,
    missingClasses,
    ...(measured
      ? {
          accuracy: measured.accuracy,
          evaluatedOn: (run.definition.config as unknown as RunConfig).data.evaluateOn,
          samples: measured.samples,
        }
      : {}),
  };
}

export const serve: CommandSpec = {
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
    new Option("--client-certificates", "let in only what has a certificate by the authority (sheaf cert device)"),
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
    const store = options.store as string;
    const host = options.host as string;
    const given = file === undefined ? options : { ...options, config: file };
    // Before anything is made: a wrong configuration leaves no folder behind.
    const config = await readConfig(given);
    const { startCoordinator } = await import("../../fleet/coordinator.ts");
    const { outerAddresses, serveTls } = await import("../serveTls.ts");
    const secured = await serveTls(invocation, store, host);
    await using coordinator = await startCoordinator({
      store,
      host,
      port: options.port as number,
      ...(secured ? { tls: secured.tls } : {}),
      ...(secured?.pin === undefined ? {} : { pin: secured.pin }),
      ...(secured?.trust ? { trust: secured.trust } : {}),
      ...(secured?.renew ? { renewTls: secured.renew } : {}),
      ...(isWildcard(host) ? { publicHost: outerAddresses()[0] ?? hostname() } : {}),
      ...(options.url === undefined ? {} : { url: String(options.url) }),
      ...(options.data === undefined ? {} : { dataFolder: options.data }),
      log: openLog((line) => process.stderr.write(`${line}\n`), Date.now, options.verbose ? "debug" : "warn"),
    });
    const { upgrade } = coordinator;
    if (upgrade)
      terminal.note(`Upgraded ${store} from layout ${upgrade.from} to ${upgrade.to}; the log as it was is kept in ${upgrade.copy}.`);
    const { runId, isNew } = await runFor(coordinator, options.name as string, hasSettings(given) ? config : undefined, config);
    const name = coordinator.live.state.runs.get(runId)?.definition.name ?? runId;
    const { line, page } = await coordinator.joinLine(options.uses as number, options.hours as number);
    const dashboard = await coordinator.dashboardAddress(options.hours as number);
    terminal.print(`Coordinator  ${coordinator.url}  (state in ${store})`);
    terminal.print(`Run          ${name}  ${runId}${isNew ? "" : ", going on where it was"}`);
    terminal.print(`To join      ${line}`);
    terminal.print(`In a browser ${page}`);
    terminal.print(`Dashboard    ${dashboard}  (for one sign-in)\n`);
    if (options.untilFinished !== true)
      terminal.printJson({ url: coordinator.url, runId, isNew, joinLine: line, joinPage: page, dashboard, store });
    const stop = coordinator.live.listen((entries) => {
      for (const entry of entries) {
        const said = lineOf(coordinator.live.state, entry);
        if (said !== undefined) terminal.note(`${clockTime(entry.event.at)}  ${said}`);
      }
    });
    try {
      const run = await coordinator.untilOver(runId, signal);
      if (signal.aborted) {
        if (options.untilFinished === true)
          throw new SheafError("interrupted", `The coordinator was stopped; the same command with --store ${store} goes on.`);
        terminal.note("Stopped; the same command goes on where it was.");
        return;
      }
      const written = await writeModel(coordinator, run, options.out ?? join(store, "runs", runId));
      const { model, modelSha256, bytes, accuracy, evaluatedOn, samples = 0, missingClasses } = written;
      terminal.print(`Model        ${model} (${formatBytes(bytes)})`);
      terminal.print(`SHA-256      ${modelSha256}`);
      if (accuracy !== undefined)
        terminal.print(`Accuracy     ${formatPercent(accuracy)} on the coordinator's ${counted(samples, `${evaluatedOn} sample`)}`);
      if (missingClasses.length > 0) terminal.print(`Missing      ${missingClasses.join(", ")}`);
      if (options.untilFinished === true) {
        terminal.printJson({ url: coordinator.url, runId, isNew, joinLine: line, joinPage: page, dashboard, store, ...written });
        // Devices hear that there is no more work before the door closes.
        return;
      }
      terminal.note("\nStill here for other runs and for sheaf status; Ctrl-C ends the coordinator.");
      await new Promise<void>((resolve) =>
        signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve(), { once: true }),
      );
    } finally {
      stop();
    }
  },
};
