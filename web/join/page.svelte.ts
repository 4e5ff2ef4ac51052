/** The join page's state and what can be done with it; components show it and call it. */
import type { AgentEvent } from "../../src/agent/agent.ts";
import type { InvitedRun } from "../../src/protocol/invitation.ts";
import type { Heartbeat } from "../../src/protocol/messages.ts";
import type { Engine } from "../device/engine.ts";
import type { Brought, FromDevice, Held, Left, ToDevice, Traffic, Work } from "../device/messages.ts";
import type { Medium } from "./classFiles.ts";
import { openWakeLock, suggestedName, type WakeLock, watchPower } from "./conditions.ts";
import { chooseEngine, type Measured } from "./engines.ts";
import { openSpeedMeter, type Pace, type SpeedMeter } from "./speed.ts";

/** From the first look to work that goes on by itself. */
export type Stage = "opening" | "refused" | "choosing" | "preparing" | "measuring" | "joining" | "working" | "stopped";

/** What the device is doing, for people. */
export interface Doing {
  readonly text: string;
  /** Of the task at hand; undefined while waiting. */
  readonly progress?: number;
  readonly epoch?: number;
  readonly loss?: number;
}

/** Requests and notes that are shown; older ones are counted alone. */
const mostTraffic = 500;
const mostNotes = 5;

const unknownPace: Pace = { samplesPerSecond: undefined, secondsLeft: undefined };

/** Takes the join token out of the address, where it would stay in the history. */
function takeToken(): string | undefined {
  const fragment = location.hash.slice(1);
  if (fragment === "") return undefined;
  history.replaceState(null, "", location.pathname);
  // Behind the colon is a fingerprint for programs; a browser trusts by its own authorities.
  return fragment.split(":")[0] || undefined;
}

const phaseTexts: { readonly [P in Heartbeat["phase"]]: string } = {
  fetching: "Fetching what the task needs",
  preparing: "Preparing",
  training: "Training",
  statistics: "Summing up what the branches say of your samples",
  uploading: "Uploading the result",
};

/** The page: its state, which components show, and what the person can do. */
export class JoinPage {
  stage: Stage = $state("opening");
  /** What went wrong with what the person asked for. */
  problem: string | undefined = $state();
  /** The latest of what else happened. */
  notes: readonly string[] = $state.raw([]);
  runs: readonly InvitedRun[] = $state.raw([]);
  run: InvitedRun | undefined = $state.raw();
  /** Brought and not yet prepared. */
  brought: readonly Brought[] = $state.raw([]);
  /** Whether it trains with data that the run offers, in place of any brought. */
  takesOffered: boolean = $state(false);
  /** Prepared, in this browser's storage. */
  held: Held | undefined = $state.raw();
  /** Files looked at while preparing. */
  prepared: number = $state(0);
  measured: readonly Measured[] = $state.raw([]);
  engine: Engine | undefined = $state.raw();
  work: Work | undefined = $state.raw();
  doing: Doing = $state.raw({ text: "Joining" });
  pace: Pace = $state.raw(unknownPace);
  /** Tasks handed in and accepted. */
  done: number = $state(0);
  traffic: readonly Traffic[] = $state.raw([]);
  totals: { requests: number; bytesUp: number; bytesDown: number } = $state({ requests: 0, bytesUp: 0, bytesDown: 0 });

  name: string = $state(suggestedName());
  privateCounts: boolean = $state(false);
  isPaused: boolean = $state(false);
  share: number = $state(1);
  pausesOnBattery: boolean = $state(false);
  pausesHidden: boolean = $state(false);
  /** Undefined where the browser does not say. */
  isOnPower: boolean | undefined = $state();
  isHidden: boolean = $state(document.visibilityState === "hidden");

  readonly #device: Worker = new Worker(new URL("../device/worker.ts", import.meta.url), { type: "module" });
  readonly #meter: SpeedMeter = openSpeedMeter();
  readonly #wakeLock: WakeLock = openWakeLock();
  /** Whether the step that work goes on from is still to be told. */
  #isResuming = false;

  constructor() {
    this.#device.addEventListener("message", ({ data }: MessageEvent<FromDevice>) => this.#hear(data));
    this.#device.addEventListener("error", ({ message }) =>
      this.#refuse(`The device could not be started: ${message || "its script was not loaded"}.`),
    );
    document.addEventListener("visibilitychange", () => {
      this.isHidden = document.visibilityState === "hidden";
      this.conduct();
    });
    void watchPower((isOnPower) => {
      this.isOnPower = isOnPower;
      this.conduct();
    });
    addEventListener("beforeunload", (event) => {
      // Closing loses little, but the person may not know that the device stops then.
      if (this.stage === "preparing" || (this.stage === "working" && this.work)) event.preventDefault();
    });
    this.#post({ type: "open", joinToken: takeToken() });
  }

  /** What samples of the run are made of. */
  get medium(): Medium {
    return this.run?.preparation?.audio ? "audio" : "image";
  }

  /** Why it must not work now, as a clause. */
  get pausedBecause(): string | undefined {
    if (this.isPaused) return "its owner paused it";
    if (this.pausesOnBattery && this.isOnPower === false) return "it runs on battery";
    if (this.pausesHidden && this.isHidden) return "its tab is hidden";
    return undefined;
  }

  /** Tells the device how it may work, after any of that has changed. */
  conduct(): void {
    const { share, pausedBecause } = this;
    this.#post({ type: "conduct", conduct: { share, pausedBecause } });
    this.#meter.reset();
    this.pace = unknownPace;
    this.#wakeLock.hold(this.stage === "working" && pausedBecause === undefined);
  }

  choose(runId: string): void {
    this.run = this.runs.find((each) => each.runId === runId);
    this.brought = [];
    this.takesOffered = false;
  }

  /** Samples that it would train with. */
  get samples(): number {
    return this.takesOffered ? (this.run?.offered?.samples ?? 0) : this.brought.length;
  }

  bring(more: readonly Brought[]): void {
    this.problem = undefined;
    this.brought = [...this.brought, ...more];
  }

  takeBack(one: Brought): void {
    this.brought = this.brought.filter((each) => each !== one);
  }

  /** Prepares what was brought, measures this browser, joins and works. */
  begin(): void {
    const { run, brought } = this;
    if (!run) return;
    this.problem = undefined;
    if (brought.length === 0 || this.takesOffered) {
      void this.#measureAndStart(run);
      return;
    }
    this.stage = "preparing";
    this.prepared = 0;
    this.#post({ type: "prepare", run, files: brought });
  }

  /** Forgets everything that this browser keeps for the coordinator. */
  forget(): void {
    this.#post({ type: "forget" });
  }

  #post(message: ToDevice): void {
    this.#device.postMessage(message);
  }

  #refuse(message: string): void {
    this.stage = "refused";
    this.problem = message;
  }

  #note(text: string): void {
    this.notes = [...this.notes.slice(1 - mostNotes), text];
  }

  #start(run: InvitedRun, engine: Engine): void {
    this.stage = "joining";
    const { name, privateCounts, takesOffered } = this;
    this.#post({ type: "start", run, name, engine, privateCounts, takesOffered });
  }

  async #measureAndStart(run: InvitedRun): Promise<void> {
    try {
      this.stage = "measuring";
      this.engine ??= await chooseEngine((measured) => {
        this.measured = measured;
      });
      this.#start(run, this.engine);
    } catch (error) {
      this.stage = "choosing";
      this.problem = error instanceof Error ? error.message : String(error);
    }
  }

  #hear(message: FromDevice): void {
    switch (message.type) {
      case "opened":
        this.#opened(message.invitation?.runs, message.left);
        return;
      case "preparing":
        this.prepared = message.done;
        return;
      case "prepared":
        this.held = message.held;
        this.brought = [];
        for (const problem of message.problems) this.#note(problem);
        if (this.run) void this.#measureAndStart(this.run);
        return;
      case "given":
        this.held = message.held;
        // They are its own from here on, and are not fetched again.
        this.takesOffered = false;
        return;
      case "joined":
        this.stage = "working";
        this.doing = { text: this.takesOffered ? "Fetching the data that the run offers" : "Waiting for work" };
        void navigator.storage?.persist?.();
        this.conduct();
        return;
      case "work":
        this.work = message.work;
        return;
      case "agent":
        this.#happened(message.event);
        return;
      case "traffic": {
        const { traffic } = message;
        this.traffic = [...this.traffic.slice(1 - mostTraffic), traffic];
        this.totals.requests++;
        this.totals.bytesUp += traffic.bytesUp;
        this.totals.bytesDown += traffic.bytesDown;
        return;
      }
      case "forgotten":
        location.reload();
        return;
      case "failed":
        // Without a device everything fails, and the first reason is the one.
        if (this.stage === "refused") return;
        if (message.during === "open") {
          this.#refuse(message.message);
          return;
        }
        this.problem = message.message;
        this.stage = message.during === "start" && this.held ? "stopped" : "choosing";
        this.#wakeLock.hold(false);
    }
  }

  #opened(invited: readonly InvitedRun[] | undefined, left: Left | undefined): void {
    this.runs = invited ?? (left ? [left.run] : []);
    this.run = this.runs.find(({ runId }) => runId === left?.run.runId) ?? this.runs[0];
    if (left && left.run.runId === this.run?.runId) {
      this.held = left.held;
      this.name = left.name;
      this.engine = left.engine;
      this.#start(left.run, left.engine);
    } else if (!invited) {
      this.#refuse("This page is opened by the link that whoever runs the coordinator gives you; it has a token at its end.");
    } else if (!this.run) {
      this.#refuse("The coordinator has no run that takes devices now.");
    } else {
      this.stage = "choosing";
    }
  }

  #happened(event: AgentEvent): void {
    switch (event.type) {
      case "waiting":
        this.work = undefined;
        this.doing = { text: "Waiting for work" };
        return;
      case "paused":
        this.doing = { ...this.doing, text: `Paused, because ${event.reason}` };
        return;
      case "working":
        this.#meter.reset();
        this.#isResuming = event.resumed;
        this.doing = { text: event.resumed ? "Going on where it was" : "Beginning", progress: 0 };
        return;
      case "progress": {
        const { phase, progress, epoch, loss, step = 0 } = event;
        const isTraining = phase === "training";
        if (isTraining && this.#isResuming) {
          this.#isResuming = false;
          // Reports name the step that was just done.
          if (step > 1) this.#note(`Went on from step ${step - 1}, where it was left.`);
        }
        if (isTraining) this.#meter.report(event, performance.now());
        this.pace = isTraining ? this.#meter.pace(this.work?.batchSize ?? 0) : unknownPace;
        this.doing = {
          text: phaseTexts[phase],
          progress,
          ...(epoch === undefined ? {} : { epoch }),
          ...(loss === undefined ? {} : { loss }),
        };
        return;
      }
      case "handedIn":
        if (event.accepted) this.done++;
        else this.#note(`The result of ${event.taskId} was not taken: ${event.reason ?? "no reason given"}`);
        return;
      case "dropped":
        this.#note(event.reason === "cancelled" ? `${event.taskId} is no longer needed.` : `${event.taskId} went to another device.`);
        return;
      case "gaveBack":
        if (event.failure.code !== "paused") this.#note(event.failure.reason);
        return;
      case "retrying":
        this.doing = { text: `The coordinator does not answer; trying again in ${Math.ceil(event.delayMs / 1000)} s` };
        return;
      case "problem":
        this.#note(event.message);
        return;
      case "made":
        return;
    }
  }
}
