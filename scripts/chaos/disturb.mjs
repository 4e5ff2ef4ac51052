/** One fleet, one disturbance or some at once, and the judgement of what came of it. */
import { disturbances } from "./disturbances.mjs";
import { checkFleet, openFleet } from "./fleet.mjs";
import { killAll } from "./processes.mjs";
import { randomOf } from "./random.mjs";

/** A seed for each disturbance, so that one can be tried alone. */
const seedOf = (seed, name) => [...name].reduce((sum, letter) => Math.imul(sum, 31) + letter.charCodeAt(0), seed) >>> 0;

/**
 * Runs a fleet and does `name` to it. Resolves to the model's hash and how often each fault took place, or to why it cannot be done here.
 * Throws where the run does not come to its end, the model is not the expected one, anything is left behind, or a fault did not take place.
 */
export async function disturb(name, options) {
  const disturbance = disturbances[name];
  const skipped = disturbance.skip?.();
  if (skipped !== undefined) return { skipped, counts: new Map(), halfUploads: 0, sha256: undefined };
  const random = randomOf(seedOf(options.seed, name));
  const opened = (await disturbance.open?.({ ...options, random })) ?? {};
  const { disk, ...places } = opened;
  const counts = new Map();
  try {
    const fleet = await openFleet({ ...options, ...places });
    try {
      await disturbance.act({ ...options, fleet, disk, random, counts });
      await fleet.finish();
      const checked = await checkFleet(fleet, options.expectedSha256);
      for (const [what, least] of Object.entries(disturbance.least(options))) {
        const got = counts.get(what) ?? 0;
        if (got < least) throw new Error(`${disturbance.title}: "${what}" took place ${got} times, expected ${least} at least`);
      }
      return { ...checked, counts };
    } catch (error) {
      error.message += `\n${fleet.tell()}`;
      throw error;
    }
  } finally {
    await killAll();
    disk?.unmount();
  }
}
