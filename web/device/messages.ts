/** What the join page and the device's worker say to each other. Plain data; files go by reference and stay in this browser. */
import type { AgentEvent } from "../../src/agent/agent.ts";
import type { Invitation, InvitedRun } from "../../src/protocol/invitation.ts";
import type { Engine } from "./engine.ts";

/** A picture or sound that the person brought, and the class that it is of. */
export interface Brought {
  readonly className: string;
  readonly file: Blob;
  /** For messages about it. */
  readonly name: string;
}

/** Samples that the device holds, prepared. */
export interface Held {
  /** By class of the run. */
  readonly counts: readonly number[];
  readonly bytes: number;
}

/** How the device may work now. */
export interface Conduct {
  /** Share of the time that it computes, more than 0 and at most 1. */
  readonly share: number;
  /** Why it must not work now, as a clause; undefined when it may. */
  readonly pausedBecause: string | undefined;
}

/** The device as it was left when it was last here. */
export interface Left {
  readonly run: InvitedRun;
  readonly name: string;
  readonly engine: Engine;
  readonly held: Held;
}

export type ToDevice =
  /** Once, at first. */
  | { readonly type: "open"; readonly joinToken: string | undefined }
  /** Prepares samples and keeps them in place of those before; none left out are forgotten. */
  | { readonly type: "prepare"; readonly run: InvitedRun; readonly files: readonly Brought[] }
  | {
      readonly type: "start";
      readonly run: InvitedRun;
      readonly name: string;
      readonly engine: Engine;
      readonly privateCounts: boolean;
      readonly takesOffered: boolean;
    }
  | { readonly type: "conduct"; readonly conduct: Conduct }
  /** Forgets samples, work and who this device is. */
  | { readonly type: "forget" };

/** One request as the page shows it. */
export interface Traffic {
  readonly at: number;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
}

/** What the device works on. */
export interface Work {
  readonly taskId: string;
  readonly kind: string;
  readonly classNames: readonly string[];
  /** Samples in a step; 0 where there are no steps. */
  readonly batchSize: number;
  readonly epochs: number;
  readonly parameters: number;
}

export type FromDevice =
  | { readonly type: "opened"; readonly invitation: Invitation | undefined; readonly left: Left | undefined }
  | { readonly type: "preparing"; readonly done: number; readonly total: number }
  | { readonly type: "prepared"; readonly held: Held; readonly problems: readonly string[] }
  /** Data that the run offers are here, and its own from now on. */
  | { readonly type: "given"; readonly held: Held }
  | { readonly type: "joined"; readonly deviceId: string; readonly isNew: boolean }
  | { readonly type: "work"; readonly work: Work }
  | { readonly type: "agent"; readonly event: AgentEvent }
  | { readonly type: "traffic"; readonly traffic: Traffic }
  | { readonly type: "forgotten" }
  /** What was asked for could not be done. */
  | { readonly type: "failed"; readonly during: ToDevice["type"]; readonly message: string };
