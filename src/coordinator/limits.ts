/** Rate limits as token buckets: a caller may make `burst` requests at once and `perSecond` in the long run. Bounded in memory whatever the callers. */

export interface RateLimit {
  readonly perSecond: number;
  readonly burst: number;
}

export interface RateLimiter {
  /** 0 when a request may go on now; else how many milliseconds to wait. Counts nothing. */
  wait(key: string): number;
  /** As `wait`, and counts the request when it may go on. */
  take(key: string): number;
  /** Callers held in memory. */
  readonly size: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

/** Most callers that are told apart; beyond, those longest unseen are forgotten. */
const mostBuckets = 50_000;

/** A limiter with its own clock; a clock that is set back gives nothing and takes nothing. */
export function rateLimiter({ perSecond, burst }: RateLimit, nowMs: () => number): RateLimiter {
  const buckets = new Map<string, Bucket>();
  const filled = (key: string): Bucket => {
    const now = nowMs();
    const bucket = buckets.get(key) ?? { tokens: burst, atMs: now };
    bucket.tokens = Math.min(burst, bucket.tokens + (Math.max(0, now - bucket.atMs) / 1000) * perSecond);
    bucket.atMs = now;
    return bucket;
  };
  const waitMs = ({ tokens }: Bucket): number => (tokens >= 1 ? 0 : Math.ceil(((1 - tokens) / perSecond) * 1000));
  return {
    wait: (key) => (buckets.has(key) ? waitMs(filled(key)) : 0),
    take(key) {
      const bucket = filled(key);
      // Deleting first moves the caller to the end: the map's order is the order of last use.
      buckets.delete(key);
      buckets.set(key, bucket);
      if (buckets.size > mostBuckets) buckets.delete(buckets.keys().next().value!);
      const wait = waitMs(bucket);
      if (wait === 0) bucket.tokens -= 1;
      return wait;
    },
    get size() {
      return buckets.size;
    },
  };
}

/** The server's limits on requests. */
export interface ServerLimits {
  /** By network address, before anything else is looked at. Many devices may share one. */
  readonly address: RateLimit;
  /** By device, viewer or admin. */
  readonly caller: RateLimit;
  /** Wrong join tokens, signatures and access tokens by address; beyond, the address waits before it may try any. What is right is not counted. */
  readonly guesses: RateLimit;
  /** Watchers (server-sent events) at once. */
  readonly watchers: number;
  /** Requests at once that the server works on; beyond, it says `unavailable`. */
  readonly requests: number;
  /** Largest object that an upload may announce. */
  readonly objectBytes: number;
}

/** Generous to a fleet behind one address, and far below what harms the server. */
export const defaultLimits: ServerLimits = {
  address: { perSecond: 5000, burst: 20_000 },
  caller: { perSecond: 50, burst: 200 },
  guesses: { perSecond: 2, burst: 100 },
  watchers: 200,
  requests: 20_000,
  objectBytes: 2 ** 31,
};
