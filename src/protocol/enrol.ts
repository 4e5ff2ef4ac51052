/** Enrolment from the device's side: learn who the coordinator is and what time it is there, sign for both, and try again with another nonce where the answer was lost. */
import type { Client } from "./client.ts";
import { wantsNewSignature } from "./errors.ts";
import type { Enrolled, EnrolmentFacts } from "./messages.ts";
import { isPassing, openPatience, type Timing } from "./retry.ts";
import { type DeviceKey, signEnrolment } from "./signing.ts";

export interface EnrolOptions {
  /** Without credentials. */
  readonly client: Client;
  readonly key: DeviceKey;
  readonly facts: EnrolmentFacts;
  readonly timing: Timing;
  readonly signal?: AbortSignal | undefined;
}

const passes = (error: unknown): boolean => isPassing(error) || wantsNewSignature(error);

/** Enrols a device. Throws `ProtocolError` where it is refused, `unavailable` when nobody answers. */
export async function enrol({ client, key, facts, timing, signal }: EnrolOptions): Promise<Enrolled> {
  const patience = openPatience(timing, passes);
  for (;;) {
    // Throws by itself, after attempts of its own.
    const { serverId, now } = await client.call("health", {}, { signal });
    try {
      return await client.call("enrol", { body: await signEnrolment(key, facts, serverId, now) }, { signal });
    } catch (error) {
      await patience.wait(error, signal);
    }
  }
}
