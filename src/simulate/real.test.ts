/** Fleets that really train: the same model whatever the absences, and the same everything again. */
import { expect, it } from "vitest";
import { resolveProfile } from "../plan/device.ts";
import { parseConfig } from "../run/config.ts";
import type { SimulationResult } from "./outcome.ts";
import { simulate } from "./simulate.ts";
import { parseTrace } from "./trace.ts";

const config = parseConfig({
  data: { name: "glyphs", trainCount: 120, testCount: 40 },
  target: { network: "tiny" },
  training: { epochs: 1, batchSize: 16 },
  fleet: { width: 0.5 },
});
const slowness = { share: 0, factor: 1 };

/** Each task takes minutes. */
async function run(trace: string): Promise<SimulationResult> {
  const { result } = await simulate(config, {
    deviceCount: 2,
    trace: parseTrace(`device,fromSeconds,toSeconds,onPower\n${trace}`, "the test"),
    profiles: [{ profile: resolveProfile({ like: "phone-mid", macsPerSecond: 1e5 }), weight: 1 }],
    training: "real",
    arrivals: { type: "allAtOnce" },
    sessions: { type: "always" },
    losses: { share: 0, hours: 1 },
    slowLinks: slowness,
    stragglers: slowness,
    holdings: { type: "all" },
    latencyMs: 50,
    tickMs: 1000,
    untilMs: 24 * 3_600_000,
    signal: new AbortController().signal,
  });
  return result;
}

it("gives the model of an undisturbed run where every device comes back, and both again", async () => {
  const undisturbed = await run("ann,0,\nbob,0,\n");
  expect(undisturbed).toMatchObject({
    outcome: "finished",
    training: "real",
    devices: { planned: 2, finished: 2 },
    classes: { missing: [] },
    macs: { wasted: 0 },
    model: { sha256: expect.stringMatching(/^[0-9a-f]{64}$/), accuracy: expect.any(Number) },
  });
  expect(undisturbed.seconds.finalModel).toBeGreaterThan(60);
  // Ann is away beyond her lease, then for a moment; Bob comes late and is on battery for a while.
  const trace = "ann,0,20\nann,140,150\nann,155,\nbob,5,30\nbob,30,70,false\nbob,70,\n";
  const disturbed = await run(trace);
  expect(disturbed).toMatchObject({ outcome: "finished", model: undisturbed.model as object });
  expect(disturbed.tasks.leasesLost.expired + disturbed.tasks.leasesLost.failed).toBeGreaterThan(0);
  expect(disturbed.seconds.finalModel).toBeGreaterThan(undisturbed.seconds.finalModel as number);
  expect(await run(trace)).toEqual(disturbed);
});
