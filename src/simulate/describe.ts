/** A simulation's result for people. */
import { formatBytes, formatCount, formatDuration, formatPercent, table } from "../util/format.ts";
import type { Growth } from "./growth.ts";
import type { SimulationResult } from "./outcome.ts";

const timeOf = (seconds: number | undefined): string => (seconds === undefined ? "never" : formatDuration(1000 * seconds));
const msOf = (milliseconds: number): string => formatDuration(milliseconds);

function costLines({ coordinator, devices, phases }: SimulationResult): readonly string[] {
  if (!coordinator) return [];
  const { cpuMs, cpuMsPerDevice, commands, byCommand, byPhase, log } = coordinator;
  const row = (what: string, count: number, cost: number): readonly string[] => [
    `  ${what}`,
    formatCount(count),
    (count / devices.total).toFixed(1),
    msOf(cost),
    `${((1000 * cost) / Math.max(1, count)).toFixed(0)} µs`,
  ];
  const dearest = Object.entries(byCommand).sort(([, a], [, b]) => b.cpuMs - a.cpuMs);
  const inPhase = Object.entries(byPhase).map(([phase, cost]) => row(`phase ${phase}`, cost.count, cost.cpuMs));
  return [
    `\nCoordinator  ${msOf(cpuMs)} of processor time, ${cpuMsPerDevice.toFixed(2)} ms a device, ${formatCount(commands)} commands (${phases.length} phases)`,
    table(
      [
        ["  what", "times", "a device", "in all", "each"],
        ...dearest.map(([name, cost]) => row(name, cost.count, cost.cpuMs)),
        row("log", log.count, log.cpuMs),
        ...inPhase,
      ],
      { align: ["left", "right", "right", "right", "right"] },
    ),
  ];
}

/** All of it as lines. */
export function describeSimulation(result: SimulationResult): string {
  const { devices, seconds, classes, tasks, bytes, macs, energyJoules, model, outcome, reason, training, log } = result;
  const share = macs.useful + macs.wasted > 0 ? macs.wasted / (macs.useful + macs.wasted) : 0;
  const { own, ...others } = tasks.leases;
  const covered = `${classes.covered} of ${classes.total}${classes.missing.length > 0 ? `, missing ${classes.missing.join(", ")}` : ""}`;
  return [
    `Outcome      ${outcome}${reason === undefined ? "" : `: ${reason}`}`,
    `Devices      ${devices.total}: ${devices.enrolled} came, ${devices.planned} in the plan, ${devices.finished} finished, ${devices.substituted} substituted, ${devices.straggled} straggled, ${devices.lost} lost`,
    `Virtual time plan ${timeOf(seconds.plan)}, first model ${timeOf(seconds.firstModel)}, covered ${timeOf(seconds.covered)}, final model ${timeOf(seconds.finalModel)}`,
    `Classes      ${covered}`,
    `Tasks        ${tasks.done} of ${tasks.total} done, ${tasks.givenUp} given up; ${tasks.reoffered} offered again (${Object.entries(
      others,
    )
      .map(([why, count]) => `${why} ${count}`)
      .join(", ")})`,
    `Moved        ${formatBytes(bytes.down)} down, ${formatBytes(bytes.up)} up`,
    `Computed     ${formatCount(macs.useful + macs.wasted)} multiply-adds, ${formatPercent(share)} of them for nothing`,
    ...(energyJoules === undefined ? [] : [`Energy       ${(energyJoules / 3.6e6).toPrecision(3)} kWh`]),
    `Log          ${log.entries} entries, ${log.head.slice(0, 12)}`,
    model
      ? `Model        ${model.sha256} (${formatBytes(model.bytes)})${model.accuracy === undefined ? "" : `, ${formatPercent(model.accuracy)} on validation samples`}`
      : training === "stubbed"
        ? "Model        none, and no accuracy: training was timed and not done"
        : "Model        none",
    ...costLines(result),
  ].join("\n");
}

/** How the coordinator's cost grows, for people. */
export function describeGrowth(sizes: readonly number[], growth: readonly Growth[]): string {
  const rows = growth.map(({ what, cpuMs, exponent, local, overLinearFrom }) => [
    `  ${what}`,
    ...cpuMs.map(msOf),
    exponent.toFixed(2),
    local.map((b) => b.toFixed(2)).join(" "),
    overLinearFrom === undefined ? "linear" : `over linear from ${overLinearFrom}`,
  ]);
  const head = ["  processor time", ...sizes.map(String), "exponent", "between sizes", ""];
  return `\nGrowth\n${table([head, ...rows], { align: ["left", ...sizes.map(() => "right" as const), "right", "left", "left"] })}`;
}
