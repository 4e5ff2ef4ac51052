// Custom device profiles: from the catalog with changes, or with every figure; what the planner makes of them, and when it refuses.
// Run it in a checkout after `npm ci && npm run build`:  node examples/deviceProfile.mjs
// The same fleet for the command line: examples/fleet.yaml.
import { glyphClassNames, glyphShape } from "sheaf/data";
import { buildModel } from "sheaf/models";
import { describePlan, planFleet, resolveProfile } from "sheaf/plan";
import { SheafError } from "sheaf/util";

const target = buildModel("vgg11", { ...glyphShape, mean: [0, 0, 0], std: [1, 1, 1] }, glyphClassNames.length, 0.5);
const triangle = glyphClassNames.indexOf("triangle");

const fleet = [
  // A catalog entry, but slower, and fond of one class.
  {
    id: "window-pi",
    profile: resolveProfile({ like: "raspberry-pi-4", name: "window-pi", macsPerSecond: 4e9, preferredClasses: [triangle] }),
  },
  { id: "phone", profile: resolveProfile("phone-mid") },
  // Everything measured by yourself.
  {
    id: "board",
    profile: resolveProfile({ name: "board", macsPerSecond: 9e9, memoryBytes: 1.5e9, bandwidthBitsPerSecond: 20e6, watts: 7 }),
  },
];

/** @param {number} deadlineSeconds */
const planWithin = (deadlineSeconds) =>
  planFleet({
    target,
    classCount: glyphClassNames.length,
    classCounts: glyphClassNames.map(() => 1000),
    devices: fleet,
    redundancy: 1,
    rho: 0.25,
    epochs: 5,
    batchSize: 64,
    // Every device is done in time, and computes at least eight times less than the full target would on its samples.
    deadlineSeconds,
    minimumRatio: 8,
    seed: 0,
  });

console.log(describePlan(planWithin(30), glyphClassNames));

try {
  planWithin(1);
} catch (error) {
  if (!(error instanceof SheafError)) throw error;
  console.log(`\nWithin one second (${error.code}): ${error.message}`);
}
