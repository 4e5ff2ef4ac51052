/** Who the client is, and the access token that says so: renewed before it expires, by the coordinator's clock and not the device's own. */
import { wantsNewSignature } from "./errors.ts";
import type { AccessGrant, TokenRequest } from "./messages.ts";
import { type DeviceKey, signTokenRequest } from "./signing.ts";

/** With what a client comes. */
export type Credentials =
  /** Nothing; enough to enrol and for what is public. */
  | { readonly type: "none" }
  /** An admin's or viewer's token. */
  | { readonly type: "token"; readonly token: string }
  /** A device that has enrolled. */
  | {
      readonly type: "device";
      readonly deviceId: string;
      readonly serverId: string;
      readonly key: DeviceKey;
      /** What enrolment gave, to begin with. */
      readonly grant?: AccessGrant;
    };

/** The coordinator's clock as seen from here. */
export interface Clock {
  /** Milliseconds since 1970 by the coordinator's clock, as far as it is known. */
  now(): number;
  /** Takes note of the coordinator's time in an answer to a request that was sent and answered at these local times. */
  learn(serverNow: number, sentAt: number, answeredAt: number): void;
}

/** `localNow` is the device's own clock, which may be wrong by years. */
export function openClock(localNow: () => number): Clock {
  let skewMs = 0;
  return {
    now: () => localNow() + skewMs,
    learn(serverNow, sentAt, answeredAt) {
      skewMs = serverNow - (sentAt + answeredAt) / 2;
    },
  };
}

/** Longest time before its end at which a token is renewed; a tenth of its life where that is less. */
const renewalMarginMs = 60_000;
/** How often one request for a token is signed. */
const mostSignatures = 4;

export interface Tokens {
  /** A token that should still be good; none for a client without credentials. */
  current(): Promise<string | undefined>;
  /** The token was refused. Whether another one can be had. */
  refused(token: string | undefined): boolean;
}

/** Keeps a device's token. `ask` sends one request for a token and does not repeat it. */
export function openTokens(
  credentials: Credentials,
  clock: Clock,
  localNow: () => number,
  ask: (request: TokenRequest) => Promise<AccessGrant>,
): Tokens {
  if (credentials.type !== "device") {
    const token = credentials.type === "token" ? credentials.token : undefined;
    return { current: async () => token, refused: () => false };
  }
  const { deviceId, serverId, key } = credentials;
  let held: { readonly token: string; readonly renewAt: number } | undefined;
  let renewal: Promise<string> | undefined;

  const hold = ({ accessToken, expiresAt, now }: AccessGrant): string => {
    held = { token: accessToken, renewAt: expiresAt - Math.min(renewalMarginMs, (expiresAt - now) / 10) };
    return accessToken;
  };
  const once = async (): Promise<string> => {
    const sentAt = localNow();
    const grant = await ask(await signTokenRequest(key, deviceId, serverId, clock.now()));
    clock.learn(grant.now, sentAt, localNow());
    return hold(grant);
  };
  const renew = async (): Promise<string> => {
    for (let tries = 1; ; tries++) {
      const sentAt = localNow();
      try {
        return await once();
      } catch (error) {
        if (tries >= mostSignatures || !wantsNewSignature(error)) throw error;
        const serverNow = Number(error.details.now ?? Number.NaN);
        if (Number.isFinite(serverNow)) clock.learn(serverNow, sentAt, localNow());
      }
    }
  };
  if (credentials.grant) {
    hold(credentials.grant);
    clock.learn(credentials.grant.now, localNow(), localNow());
  }
  return {
    async current() {
      if (held && clock.now() < held.renewAt) return held.token;
      // One renewal serves all who wait for it.
      renewal ??= renew().finally(() => {
        renewal = undefined;
      });
      return await renewal;
    },
    refused(token) {
      if (held?.token === token) held = undefined;
      return true;
    },
  };
}
