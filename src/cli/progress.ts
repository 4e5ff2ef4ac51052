/** Shows a run as it happens: a line per job redrawn on a terminal, plain lines elsewhere, nothing with `--json`. */
import { createLogUpdate } from "log-update";
import { describePlan } from "../plan/describe.ts";
import type { DataProgress } from "../run/loadData.ts";
import type { RunEvent } from "../run/options.ts";
import type { TrainingProgress } from "../train/job.ts";
import { formatBytes, formatCount, formatDuration, formatPercent, table } from "../util/format.ts";
import type { Terminal } from "./terminal.ts";

export interface ProgressDisplay {
  show(event: RunEvent): void;
  /** A line above the picture. */
  say(text: string): void;
  /** A bar while a data set is downloaded or its samples are decoded. */
  readonly data: DataProgress;
  /** Leaves the last picture standing. */
  close(): void;
}

interface JobState {
  readonly last: TrainingProgress | undefined;
  readonly done: { readonly seconds: number; readonly loss: number; readonly accuracy: number } | undefined;
}

const barWidth = 16;
const bar = (share: number): string => {
  const full = Math.round(Math.min(1, Math.max(0, share)) * barWidth);
  return `${"━".repeat(full)}${"─".repeat(barWidth - full)}`;
};

function cells(id: string, { last, done }: JobState): readonly string[] {
  if (done)
    return [
      id,
      bar(1),
      "done",
      `loss ${done.loss.toFixed(3)}`,
      `accuracy ${formatPercent(done.accuracy)}`,
      "",
      formatDuration(done.seconds * 1e3),
    ];
  if (!last) return [id, bar(0), "waiting"];
  return [
    id,
    bar(last.step / last.steps),
    `epoch ${last.epoch}/${last.epochs}`,
    `loss ${last.loss.toFixed(3)}`,
    `accuracy ${formatPercent(last.accuracy)}`,
    `${formatCount(last.imagesPerSecond)} img/s`,
    `${formatDuration(last.secondsLeft * 1e3)} left`,
  ];
}

/** A plain line for each job and epoch, for logs. */
function plainLine(progress: TrainingProgress, idWidth: number): string {
  return `${cells(progress.job.padEnd(idWidth), { last: progress, done: undefined })
    .filter((_, i) => i !== 1)
    .join("  ")}`;
}

/** The display that fits the terminal. */
export function openProgress(terminal: Terminal): ProgressDisplay {
  const live = terminal.live ? createLogUpdate(process.stderr) : undefined;
  const jobs = new Map<string, JobState>();
  let idWidth = 8;
  const draw = (): void => {
    if (live && jobs.size > 0)
      live(
        table(
          [...jobs].map(([id, state]) => cells(id, state)),
          { align: ["left", "left", "left", "right", "right", "right", "right"] },
        ),
      );
  };
  /** A line above the picture. */
  const say = (text: string): void => {
    live?.clear();
    terminal.note(text);
    draw();
  };
  const started = new Set<string>();
  let tenths = -1;
  let evaluatedOn = "test";
  let beganAt: number | undefined;
  /** A bar on a terminal; elsewhere a line whenever `mark` changes. */
  const advance = (what: string, share: number, amount: string, mark: number): void => {
    if (live) {
      live(`${what}  ${bar(share)}  ${amount}`);
      if (share >= 1) live.done();
      return;
    }
    // What is done in a moment needs no lines in a log.
    beganAt ??= performance.now();
    if (mark === tenths || performance.now() - beganAt < 2000) return;
    tenths = mark;
    terminal.note(`${what}: ${amount}`);
  };
  const data: DataProgress = {
    download(name, { receivedBytes, totalBytes = 0 }) {
      const share = totalBytes > 0 ? receivedBytes / totalBytes : 0;
      const size = totalBytes > 0 ? `${formatBytes(receivedBytes)} of ${formatBytes(totalBytes)}` : formatBytes(receivedBytes);
      advance(`downloading ${name}`, share, size, totalBytes > 0 ? Math.floor(10 * share) : Math.floor(receivedBytes / 20e6));
    },
    prepare(name, { done, total, skipped }) {
      const share = total > 0 ? done / total : 1;
      const left = skipped > 0 ? `, ${skipped.toLocaleString("en")} left out` : "";
      const amount = `${done.toLocaleString("en")} of ${total.toLocaleString("en")} samples${left}`;
      advance(`preparing ${name}`, share, amount, 100 + Math.floor(4 * share));
    },
  };
  return {
    data,
    say,
    show(event) {
      switch (event.type) {
        case "data":
          ({ evaluatedOn } = event);
          say(
            `Data: ${event.name}, ${event.train.toLocaleString("en")} training and ${event.test.toLocaleString("en")} ${evaluatedOn} samples${event.note ? ` (${event.note})` : ""}`,
          );
          return;
        case "planned":
          say(`\n${describePlan(event.prepared.plan, event.classNames)}\n`);
          for (const job of event.prepared.jobs) jobs.set(job.id, { last: undefined, done: undefined });
          idWidth = Math.max(...[...jobs.keys()].map((id) => id.length));
          draw();
          return;
        case "resumed":
          say(`Resumed: ${event.finished.join(", ")} had finished`);
          for (const id of event.finished) jobs.delete(id);
          draw();
          return;
        case "progress": {
          // In a log, an epoch is told by its last word, once the next has begun; the last epoch by "trained".
          const before = jobs.get(event.job)?.last;
          if (!live && before && before.epoch < event.epoch) terminal.note(plainLine(before, idWidth));
          jobs.set(event.job, { last: event, done: undefined });
          if (live) draw();
          return;
        }
        case "trained":
          jobs.set(event.job, { last: undefined, done: event });
          if (live) draw();
          else
            terminal.note(
              `${event.job.padEnd(idWidth)}  trained in ${formatDuration(event.seconds * 1e3)}  loss ${event.loss.toFixed(3)}  accuracy ${formatPercent(event.accuracy)}`,
            );
          return;
        case "rejected":
          say(`Rejected: ${event.reason}`);
          return;
        case "settling":
          live?.done();
          jobs.clear();
          terminal.note(
            `Settle pass ${event.pass} of ${event.passes}: ${event.devices.length} ${event.devices.length === 1 ? "device trains" : "devices train"} against the others' frozen scores`,
          );
          started.delete("statistics");
          return;
        case "statistics":
          if (!started.has("statistics")) {
            started.add("statistics");
            live?.done();
            jobs.clear();
            terminal.note("Statistics pass: each device runs all branches over its part of the samples and uploads sums");
          }
          return;
        case "evaluated":
          terminal.note(`${event.id.padEnd(idWidth)}  ${evaluatedOn} accuracy ${formatPercent(event.accuracy)}`);
          return;
        case "written":
          return;
      }
    },
    close: () => live?.done(),
  };
}
