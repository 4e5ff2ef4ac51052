/** How often devices without work ask for some. */

/** Questions of idle devices that a coordinator is to answer each second, however many devices there are. */
const asksPerSecond = 200;
/** A device is thought to be away that is not heard of for two minutes; with a wait of half a minute before it, this is well within. */
const longestPauseMs = 75_000;

/**
 * How long a device that waited for work in vain stays away before it asks again: not at all in a fleet of a few thousand; in a larger one so long that
 * questions do not grow with it, up to a limit.
 * @example retryAfterMs(10_000, 25_000) // 25_000
 */
export function retryAfterMs(deviceCount: number, waitMs: number): number {
  return Math.min(longestPauseMs, Math.max(0, (1000 * deviceCount) / asksPerSecond - waitMs));
}
