/** Plans where no ratio is asked for: as high a one as the fleet can have without losing a device. */
import { SheafError } from "../util/errors.ts";
import type { Plan } from "./plan.ts";

/** Ratios aimed at where none is configured: the promise, and what comes nearest to it where training is too short for it. */
const ratioGoals = [11.8, 8, 4, 2];

/**
 * The plan of the highest goal that costs no device its place. `plan` plans for a least ratio, or for none, and may give up with `plan` as soon as it would
 * leave fewer than so many devices; what it throws without a ratio is passed on.
 */
export function planTowards(plan: (minimumRatio: number | undefined, leastDevices: number) => Plan): Plan {
  const unbound = plan(undefined, 0);
  for (const goal of ratioGoals) {
    try {
      const aimed = plan(goal, unbound.devices.length);
      if (aimed.devices.length >= unbound.devices.length) return aimed;
    } catch (error) {
      if (!(error instanceof SheafError && error.code === "plan")) throw error;
    }
  }
  return unbound;
}
