/** A whole coordinator in one process: its data folder, the state machine on its log, the HTTP server, and time that passes. */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { randomText, sha256 } from "../coordinator/bytes.ts";
import { type LogEntry, parseEntry } from "../coordinator/chain.ts";
import { type DataFolder, openDataFolder } from "../coordinator/dataFolder.node.ts";
import { dashboardAddress } from "../coordinator/handlers.ts";
import { addressOfNode, listen, type TlsOptions } from "../coordinator/listen.node.ts";
import { type Live, openLive, steadyClock } from "../coordinator/live.ts";
import { type LiveService, openLiveService } from "../coordinator/liveService.ts";
import type { Log } from "../coordinator/log.ts";
import { type Metrics, openMetrics } from "../coordinator/metrics.ts";
import { builtPages, openPages } from "../coordinator/pages.node.ts";
import { planRun } from "../coordinator/planning.ts";
import { openServer } from "../coordinator/server.ts";
import { referencedObjects } from "../coordinator/spec.ts";
import { isOver, type Run } from "../coordinator/state.ts";
import type { Upgrade } from "../coordinator/storeLayout.node.ts";
import { addVitals, openVitals } from "../coordinator/vitals.node.ts";
import type { ObjectReference } from "../protocol/messages.ts";
import { SheafError } from "../util/errors.ts";
import { writeFileAtomic } from "../util/files.node.ts";
import { sha256Hex } from "../util/hash.node.ts";
import { canonicalJson } from "../util/json.ts";
import { addressFile, isWildcard } from "./address.ts";
import { assembleRun, makeModel } from "./assemble.ts";
import { threadMaker } from "./assembleThread.node.ts";
import { readObject } from "./branches.ts";
import { defineRun } from "./define.ts";
import { judge } from "./gate.ts";
import { openSamplesOf } from "./samples.ts";
import { openStartingWeights } from "./warmStart.ts";

/** Whom commands on this machine trust, and what they show; paths of PEM files. */
export interface LocalTrust {
  readonly authority: string;
  readonly certificate?: string;
  readonly key?: string;
}

export interface CoordinatorOptions {
  /** The coordinator's own folder. */
  readonly store: string;
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly tls?: TlsOptions;
  /** Asked every few seconds for other certificates than those in use, such as a longer list of revoked ones. */
  readonly renewTls?: () => Promise<TlsOptions | undefined>;
  readonly trust?: LocalTrust;
  /** Address that devices use, where it is not that of `publicHost` and the port. */
  readonly url?: string;
  /** Name or address of this machine in the line to join; `host` by default. */
  readonly publicHost?: string;
  /** Behind the address in the line to join: the fingerprint of an authority that devices do not know. */
  readonly pin?: string;
  /** Where data sets lie. */
  readonly dataFolder?: string;
  /** How often what nothing refers to is removed, and how old it must be; an hour by default. */
  readonly tidyMs?: number;
  /** Script of the thread in which models are put together; for bundlers that move it. */
  readonly assemblyWorker?: URL;
  readonly log: Log;
}

/** A coordinator at work. */
export interface RunningCoordinator extends AsyncDisposable {
  readonly url: string;
  readonly live: Live;
  /** Present where the folder was of an older layout. */
  readonly upgrade?: Upgrade;
  /** Creates a run, or finds the one of this name and configuration that is there. Throws what a wrong configuration throws. */
  ensureRun(name: string, config: Readonly<Record<string, unknown>>): Promise<{ readonly runId: string; readonly isNew: boolean }>;
  /** A line to type on another computer, and a page to open in a browser there; good for `uses` devices and so many hours. */
  joinLine(uses: number, hours: number): Promise<{ readonly line: string; readonly page: string }>;
  /** The dashboard's address with a sign-in token for an administrator; good for one sign-in within so many hours. */
  dashboardAddress(hours: number): Promise<string>;
  /** Resolves with the run once it is over, or with what it is when the signal is aborted. */
  untilOver(runId: string, signal: AbortSignal): Promise<Run>;
  readObject(object: ObjectReference): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

const tickMs = 1000;
/** A revoked certificate is shut out after so long at most. */
const renewMs = 5000;

function addGauges(metrics: Metrics, live: Live): void {
  metrics.gauge("sheaf_devices", "Devices enrolled and not revoked.", () =>
    live.state.devices.count(({ revokedAt }) => revokedAt === undefined),
  );
  metrics.gauge("sheaf_leases", "Leases that are held.", () => live.state.leases.size);
  metrics.gauge("sheaf_log_entries", "Entries of the log.", () => live.head.sequence);
  const phases = ["gathering", "train", "settle", "statistics", "assemble", "finished", "failed", "cancelled"] as const;
  metrics.gauge("sheaf_runs", "Runs by phase.", () =>
    phases.map((phase) => [{ phase }, live.state.runs.count((run) => run.phase === phase)] as const),
  );
}

/** Removes what nothing refers to and forgets what has expired. */
async function tidy(folder: DataFolder<LogEntry>, live: Live, service: LiveService, log: Log, graceMs: number): Promise<void> {
  let { state } = live;
  const namesNow = () => new Set([...referencedObjects(state), ...service.taskObjects()]);
  let names = namesNow();
  // Results come in while files are looked at.
  const keep = (name: string): boolean => {
    if (!names.has(name) && state !== live.state) {
      state = live.state;
      names = namesNow();
    }
    return names.has(name) || service.isJudged(name);
  };
  const removed = await folder.objects.collect({ keep, nowMs: Date.now(), graceMs });
  await folder.secrets.forget(Date.now());
  if (removed.bytes > 0) log("info", "Removed objects that nothing refers to.", { objects: removed.objects.length, bytes: removed.bytes });
}

/**
 * Starts a coordinator. Throws `unavailable` when the folder or the port is taken, `config` for an address that others reach without TLS, and what opening
 * the folder throws.
 */
export async function startCoordinator(options: CoordinatorOptions): Promise<RunningCoordinator> {
  const { store, host, port, tls, log, tidyMs = 3_600_000 } = options;
  const folder = await openDataFolder<LogEntry>(store, parseEntry);
  const cleanUp: (() => unknown)[] = [() => folder.close()];
  const close = async (): Promise<void> => {
    for (let last = cleanUp.pop(); last; last = cleanUp.pop()) await last();
  };
  try {
    const { objects } = folder;
    const now = steadyClock(Date.now, () => performance.now());
    const live = await openLive({ log: folder.log, sha256: sha256Hex, planner: planRun, newId: randomUUID, now });
    cleanUp.push(() => live.close());
    const samplesOf = openSamplesOf(options.dataFolder);
    const { dataFolder, assemblyWorker } = options;
    const make =
      threadMaker({ store, dataFolder, ...(assemblyWorker ? { workerUrl: assemblyWorker } : {}) }) ??
      ((assembly) => makeModel(assembly, objects, samplesOf));
    const put = (bytes: Uint8Array): Promise<ObjectReference & { readonly sha256: string }> => objects.put(bytes) as never;
    const service: LiveService = openLiveService({
      live,
      log: folder.log,
      now,
      define: (request) => defineRun(request, samplesOf, put),
      gate: (run, task, outputs) => judge(run, task, outputs, objects, samplesOf),
      assemble: (run, slots) => assembleRun(run, objects, make, slots),
      put,
      initialOf: openStartingWeights(objects),
    });
    cleanUp.push(() => service.close());
    const metrics = openMetrics();
    addGauges(metrics, live);
    const vitals = openVitals({ logFile: join(store, "log.sqlite"), connections: () => listening.connections });
    cleanUp.push(() => vitals.close());
    addVitals(metrics, vitals.read);
    const place = { url: options.url ?? "" };
    const lineOf = (token: string, command = "join"): string =>
      `sheaf ${command} ${place.url}#${token}${options.pin === undefined ? "" : `:${options.pin}`}`;
    const server = openServer({
      coordinator: service,
      objects,
      secrets: folder.secrets,
      tokens: folder.tokens,
      serverId: folder.serverId,
      get publicUrl() {
        return place.url;
      },
      joinLine: (token, role) => lineOf(token, role === "device" ? "join" : "status"),
      log,
      addressOf: addressOfNode,
      metrics,
      vitals: vitals.read,
      pages: openPages(builtPages()),
    });
    const listening = await listen(server, { host, port, ...(tls ? { tls } : {}) });
    cleanUp.push(() => listening.close());
    const urlAt = (name: string): string => `${tls ? "https" : "http"}://${name.includes(":") ? `[${name}]` : name}:${listening.port}`;
    place.url ||= urlAt(options.publicHost ?? host);
    // For commands on this machine.
    await writeFileAtomic(
      join(store, addressFile),
      `${canonicalJson({ url: urlAt(isWildcard(host) ? "127.0.0.1" : host), ...options.trust })}\n`,
    );
    const ticking = setInterval(() => {
      live.do({ type: "tick" }).catch((error: unknown) => log("error", `Time could not be noted: ${String(error)}`));
    }, tickMs);
    const tidying = setInterval(
      () => void tidy(folder, live, service, log, tidyMs).catch((error: unknown) => log("error", String(error))),
      tidyMs,
    );
    const { renewTls } = options;
    const renew = async (): Promise<void> => {
      const renewed = await renewTls?.();
      if (renewed) listening.renew(renewed);
    };
    const renewing = setInterval(
      () => void renew().catch((error: unknown) => log("error", `Certificates could not be renewed: ${String(error)}`)),
      renewMs,
    );
    cleanUp.push(() => clearInterval(renewing));
    cleanUp.push(() => clearInterval(ticking));
    cleanUp.push(() => clearInterval(tidying));
    await tidy(folder, live, service, log, tidyMs);
    return {
      url: place.url,
      live,
      ...(folder.upgrade ? { upgrade: folder.upgrade } : {}),
      async ensureRun(name, config) {
        const definition = await defineRun({ name, config }, samplesOf, put);
        const wanted = canonicalJson(definition);
        for (const run of live.state.runs.values()) {
          if (run.phase !== "cancelled" && canonicalJson(run.definition) === wanted) return { runId: run.runId, isNew: false };
        }
        return { runId: (await live.do({ type: "createRun", definition })).runId, isNew: true };
      },
      async joinLine(uses, hours) {
        const token = `sheafjoin-${randomText(32)}`;
        const expiresAt = Date.now() + Math.round(hours * 3_600_000);
        await folder.secrets.addJoinToken({
          tokenHash: await sha256(token),
          role: "device",
          uses,
          createdAtMs: Date.now(),
          expiresAtMs: expiresAt,
        });
        await service.note({ type: "joinToken.created", by: "local", role: "device", uses, expiresAt });
        return { line: lineOf(token), page: `${place.url}/join#${token}` };
      },
      async dashboardAddress(hours) {
        const expiresAt = Date.now() + Math.round(hours * 3_600_000);
        const services = { secrets: folder.secrets, publicUrl: place.url, nowMs: Date.now };
        const address = await dashboardAddress("admin", expiresAt, services);
        await service.note({ type: "joinToken.created", by: "local", role: "admin", uses: 1, expiresAt });
        return address;
      },
      untilOver: (runId, signal) => untilOver(live, runId, signal),
      readObject: (object) => readObject(objects, object),
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function untilOver(live: Live, runId: string, signal: AbortSignal): Promise<Run> {
  let run = live.state.runs.get(runId);
  if (!run) throw new SheafError("internal", `There is no run "${runId}".`);
  return new Promise((resolve) => {
    const look = (): void => {
      // It may be archived in the same moment in which it is over.
      const { phase } = live.state.archive.get(runId) ?? {};
      run = live.state.runs.get(runId) ?? { ...(run as Run), ...(phase ? { phase } : {}) };
      if (!signal.aborted && !isOver(run)) return;
      stop();
      signal.removeEventListener("abort", look);
      resolve(run);
    };
    const stop = live.listen(look);
    signal.addEventListener("abort", look);
    look();
  });
}
