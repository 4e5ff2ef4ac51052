/** `sheaf status`: what a live fleet is doing. */
import { setTimeout as wait } from "node:timers/promises";
import { Option } from "commander";
import type { DeviceSummary, RunDetail } from "../../protocol/operatorMessages.ts";
import { formatCount, formatDuration, formatPercent, table } from "../../util/format.ts";
import type { CommandSpec } from "../command.ts";
import { allDevices, connect, coordinatorOptions } from "../coordinator.ts";
import { counted } from "../fleetLines.ts";
import type { Terminal } from "../terminal.ts";

interface Picture {
  readonly url: string;
  readonly runs: readonly RunDetail[];
  readonly devices: readonly DeviceSummary[];
}

/** Devices in columns. */
export function deviceTable(devices: readonly DeviceSummary[], indent = ""): string {
  const rows = devices.map(({ name, status, classes, profile, seenAt }) => [
    `${indent}${name}`,
    status,
    String(classes.length),
    `${formatCount(profile.macsPerSecond)}MAC/s`,
    // The coordinator's clock may be ahead.
    `${formatDuration(1000 * Math.max(0, Math.round((Date.now() - seenAt) / 1000)))} ago`,
  ]);
  return table([[`${indent}device`, "status", "classes", "speed", "last seen"], ...rows], {
    align: ["left", "left", "right", "right", "right"],
  });
}

/** Most devices of which it is said what they wait for. */
const mostReasons = 10;

function draw({ url, runs, devices }: Picture, { colors }: Terminal): string {
  const { bold, dim } = colors;
  const names = new Map(devices.map(({ deviceId, name }) => [deviceId, name]));
  const parts = [`${bold("Coordinator")}  ${url}`];
  for (const run of runs) {
    const { done, total, failed } = run.tasks;
    const state = `${run.status}, ${done} of ${counted(total, "task")} done${failed > 0 ? `, ${failed} given up` : ""}, ${run.classes.covered} of ${run.classes.total} classes`;
    const why = run.reason ?? run.waitsFor?.reason;
    parts.push(`\n${bold(run.name)}  ${run.runId}\n${state}${why === undefined ? "" : `\n${why}`}`);
    const rows = run.taskList.map(({ taskId, status, progress, workers }) => [
      `  ${taskId}`,
      status,
      formatPercent(progress),
      workers.map((id) => names.get(id) ?? id).join(", "),
    ]);
    if (rows.length > 0) parts.push(table([["  task", "status", "progress", "by"], ...rows], { align: ["left", "left", "right", "left"] }));
    if (run.excused) parts.push(`  not waited for: ${run.excused.map((id) => names.get(id) ?? id).join(", ")}`);
    for (const { taskId, reason } of run.quarantined) parts.push(`  refused: ${taskId}: ${reason}`);
  }
  if (runs.length === 0) parts.push("\nNo run.");
  parts.push("", devices.length > 0 ? deviceTable(devices, "  ") : dim("No device has joined."));
  const idle = devices.flatMap(({ name, waitsFor }) => (waitsFor ? [`  ${name} waits: ${waitsFor.reason}`] : []));
  if (idle.length > 0)
    parts.push(...idle.slice(0, mostReasons), ...(idle.length > mostReasons ? [dim(`  and ${idle.length - mostReasons} more`)] : []));
  return parts.join("\n");
}

const watchMs = 2000;

export const status: CommandSpec = {
  options: [...coordinatorOptions, new Option("--watch", "show it anew every two seconds until every run is over")],
  examples: [
    ["status", "of the coordinator on this machine, in sheaf-fleet"],
    ["status https://192.168.1.7:8470 --token TOKEN --watch", "of one elsewhere, as it goes on"],
  ],
  async run(invocation) {
    const { options, terminal, signal } = invocation;
    const { client, url } = await connect(invocation, invocation.arguments[0]);
    const look = async (): Promise<Picture> => {
      const { runs } = await client.call("listRuns", {}, { signal });
      const details = await Promise.all(runs.map(({ runId }) => client.call("getRun", { runId }, { signal })));
      const devices = await allDevices(client, signal);
      return { url, runs: details, devices };
    };
    const { isEnded } = await import("../../protocol/operatorMessages.ts");
    let picture = await look();
    if (options.watch === true) {
      const { createLogUpdate } = await import("log-update");
      const redraw = terminal.live ? createLogUpdate(process.stderr) : undefined;
      while (!picture.runs.every((run) => isEnded(run.status)) && !signal.aborted) {
        if (redraw) redraw(draw(picture, terminal));
        else terminal.note(draw(picture, terminal));
        await wait(watchMs, undefined, { signal }).catch(() => undefined);
        if (!signal.aborted) picture = await look();
      }
      redraw?.clear();
    }
    terminal.printJson(picture);
    terminal.print(draw(picture, terminal));
  },
};
