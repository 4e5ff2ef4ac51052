/** One fleet, one disturbance or some at once, and the judgement of what came of it. */
import { disturbances } from "./disturbances.mjs";
import { checkFleet, deviceNames, openFleet } from "./fleet.mjs";
import { killAll } from "./processes.mjs";
import { randomOf } from "./random.mjs";

/** A seed for each disturbance, so that one can be tried alone. */
const seedOf = (seed, name) => [...name].reduce((sum, letter) => Math.imul(sum, 31) + letter.charCodeAt(0), seed) >>> 0;

/**
 * Runs a fleet and disturbs it. Resolves to the model's hash, how often each fault took place, and which disturbances cannot be done here and why.
 * Throws where the run does not come to its end, the model is not the expected one, anything is left behind, or a fault did not take place.
 */
export async function disturb(names, { seed, expectedSha256, ...given }) {
  const skipped = names.flatMap((name) => {
    const reason = disturbances[name].skip?.();
    return reason === undefined ? [] : [{ name, reason }];
  });
  const done = names
    .filter((name) => !skipped.some((skip) => skip.name === name))
    .map((name) => ({ name, ...disturbances[name], random: randomOf(seedOf(seed, name)) }));
  const counts = new Map();
  if (done.length === 0) return { skipped, counts, collected: 0, sha256: undefined };
  const disks = {};
  try {
    const places = {};
    for (const { open, random } of done) {
      const { disks: opened, ...place } = (await open?.({ ...given, random })) ?? {};
      Object.assign(disks, opened);
      Object.assign(places, place);
    }
    const fleet = await openFleet({ ...given, ...places });
    const around = { ...given, fleet, disks, counts };
    try {
      if (!done.some(({ startsAll }) => startsAll)) {
        const chaosOf = () => done.map(({ chaos, random }) => chaos?.({ random })).find(Boolean);
        fleet.startCoordinator(chaosOf());
        for (const device of deviceNames) await fleet.startDevice(device, chaosOf());
      }
      await Promise.all(done.map(({ act, random }) => act({ ...around, random })));
      await fleet.finish();
      for (const { count } of done) count?.(around);
      const checked = await checkFleet(fleet, expectedSha256);
      for (const { title, least } of done) {
        for (const [what, times] of Object.entries(least(given))) {
          const got = counts.get(what) ?? 0;
          if (got < times) throw new Error(`${title}: "${what}" took place ${got} times, expected ${times} at least`);
        }
      }
      return { ...checked, counts, skipped };
    } catch (error) {
      error.message += `\n${fleet.tell()}`;
      throw error;
    }
  } finally {
    await killAll();
    for (const disk of Object.values(disks)) disk.unmount();
  }
}
