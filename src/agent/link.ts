/** How an agent comes to its coordinator: with the identity in its state, enrolled once by a join token, and from then on by its key alone. */

import type { Client } from "../protocol/client.ts";
import { openClient } from "../protocol/client.ts";
import { enrol } from "../protocol/enrol.ts";
import type { Fetch } from "../protocol/exchange.ts";
import type { InvitedRun } from "../protocol/invitation.ts";
import type { AccessGrant, DataSummary, MeasuredProfile } from "../protocol/messages.ts";
import { defaultTiming, isPassing, type Timing } from "../protocol/retry.ts";
import { createKey, type DeviceKey, openKey } from "../protocol/signing.ts";
import { memorySource } from "../protocol/transfer.ts";
import { SheafError } from "../util/errors.ts";
import type { CoordinatorLink } from "./agent.ts";
import type { AgentState, EnrolledWith } from "./state.ts";

/** A client as an agent's link. */
export function linkOf(client: Client): CoordinatorLink {
  return {
    offer: (body, signal) => client.call("offer", { body }, { signal }),
    heartbeat: (leaseId, body, signal) => client.call("heartbeat", { leaseId, body }, { signal }),
    complete: (leaseId, body, signal) => client.call("complete", { leaseId, body }, { signal }),
    fail: (leaseId, body, signal) => client.call("fail", { leaseId, body }, { signal }),
    download: (object, sink, signal) => client.download(object, sink, { signal }),
    upload: async (bytes, signal) => client.upload(await memorySource(bytes), { signal }),
  };
}

export interface JoinOptions {
  readonly url: string;
  /** Needed the first time, and where the coordinator is another one than before. */
  readonly joinToken?: string;
  readonly state: AgentState;
  /** The device's key where its secret is beyond reach; the one in the state, made when missing, otherwise. */
  readonly key?: DeviceKey;
  /** Name of the device, for people. */
  readonly name: string;
  readonly summary: DataSummary;
  /** Measured when it is needed: to enrol. */
  readonly profile: () => Promise<MeasuredProfile>;
  readonly software: string;
  /** Classes that it would like to own, dearest first. */
  readonly preferredClasses?: readonly string[];
  readonly fetch?: Fetch;
  readonly timing?: Partial<Timing>;
  readonly signal?: AbortSignal;
}

/** A device that its coordinator knows. */
export interface Joined {
  readonly link: CoordinatorLink;
  readonly client: Client;
  readonly enrolled: EnrolledWith;
  /** Whether it was enrolled just now. */
  readonly isNew: boolean;
  /** The runs that it may take part in, where it was. */
  readonly invited: readonly InvitedRun[];
}

/** The device's key, made at the first time. */
async function keyIn(state: AgentState): Promise<DeviceKey> {
  const kept = await state.readIdentity();
  if (kept !== undefined) return openKey(kept);
  const { key, secret } = await createKey();
  await state.writeIdentity(secret);
  return key;
}

const base = ({ url, fetch, timing }: JoinOptions) => ({ url, ...(fetch ? { fetch } : {}), ...(timing ? { timing } : {}) });

/** Whether an earlier enrolment still holds: at the same coordinator, wherever it is now. One that cannot be reached is taken for the same at its old address. */
async function stillHolds(enrolled: EnrolledWith, options: JoinOptions): Promise<boolean> {
  const { url, joinToken, signal } = options;
  if (url === enrolled.url && joinToken === undefined) return true;
  try {
    const client = openClient({ ...base(options), credentials: { type: "none" } });
    return (await client.call("health", {}, { signal })).serverId === enrolled.serverId;
  } catch (error) {
    if (url === enrolled.url && isPassing(error)) return true;
    throw error;
  }
}

interface NewlyEnrolled {
  readonly enrolled: EnrolledWith;
  readonly grant: AccessGrant;
  readonly invited: readonly InvitedRun[];
}

async function enrolBy(key: DeviceKey, options: JoinOptions): Promise<NewlyEnrolled> {
  const { url, joinToken, state, name, summary, profile, software, preferredClasses, signal } = options;
  if (joinToken === undefined) {
    throw new SheafError(
      "usage",
      `The device of ${state.where} is not enrolled at ${url}; join with the line that "sheaf serve" prints, which has a token in it.`,
    );
  }
  const client = openClient({ ...base(options), credentials: { type: "none" } });
  // Asked before the machine is measured, so that a wrong token is told at once.
  const { runs: invited } = await client.call("invitation", { body: { joinToken } }, { signal });
  const facts = {
    joinToken,
    name,
    profile: await profile(),
    data: summary,
    software,
    ...(preferredClasses ? { preferredClasses } : {}),
  };
  const { deviceId, serverId, ...grant } = await enrol({
    client,
    key,
    facts,
    timing: { ...defaultTiming, ...options.timing },
    signal,
  });
  return { enrolled: { url, serverId, deviceId }, grant, invited };
}

/**
 * Joins a coordinator: by the enrolment that the state holds, or by a join token. Work for another coordinator is forgotten.
 * Throws `usage` without a token where one is needed, `ProtocolError` for one that is refused, `unavailable` when nobody answers, `storage` when the enrolment cannot be kept.
 */
export async function join(options: JoinOptions): Promise<Joined> {
  const { state, url } = options;
  const key = options.key ?? (await keyIn(state));
  const record = await state.readRecord();
  let enrolled: EnrolledWith;
  let grant: AccessGrant | undefined;
  let invited: readonly InvitedRun[] = [];
  if (record.enrolled && (await stillHolds(record.enrolled, options))) {
    enrolled = { ...record.enrolled, url };
    if (record.enrolled.url !== url) await state.writeRecord({ ...record, enrolled });
  } else {
    ({ enrolled, grant, invited } = await enrolBy(key, options));
    const isSame = record.enrolled?.serverId === enrolled.serverId && record.enrolled.deviceId === enrolled.deviceId;
    // Enrolling may have measured the machine; that stays, whoever the coordinator is.
    const { measured } = await state.readRecord();
    await state.writeRecord({ ...(isSame ? record : {}), ...(measured ? { measured } : {}), enrolled });
  }
  const { deviceId, serverId } = enrolled;
  const client = openClient({ ...base(options), credentials: { type: "device", deviceId, serverId, key, ...(grant ? { grant } : {}) } });
  return { link: linkOf(client), client, enrolled, isNew: grant !== undefined, invited };
}
