/** A plan as text for people. */
import { networkCost } from "../network/shapes.ts";
import { formatBytes, formatCount, formatDuration, formatRatio, table } from "../util/format.ts";
import type { Plan } from "./plan.ts";

const nameOf = (classNames: readonly string[], classId: number): string => classNames[classId] ?? String(classId);

/** Names up to a number; how many more there are. */
function some(classNames: readonly string[], classes: readonly number[], most: number): string {
  const shown = classes.slice(0, most).map((classId) => nameOf(classNames, classId));
  return classes.length > most ? `${shown.join(", ")} and ${classes.length - most} more` : shown.join(", ");
}

/** What a code corrects, in words. */
function erasures(count: number): string {
  if (count === 0) return "so that losing one device may leave two classes alike";
  return `so that ${count === 1 ? "any one may be lost" : `any ${count} may be lost`} and no two classes look alike`;
}

/**
 * A line per device, and below it what the code is worth, who was left out and which preferences were not met.
 * @example console.log(describePlan(planFleet(request), dataset.classNames))
 */
export function describePlan(plan: Plan, classNames: readonly string[]): string {
  const rows = plan.devices.map(({ id, profile, taskSet, size, network, expected }) => {
    const { macs, parameters } = networkCost(network);
    return [
      id,
      profile.name,
      some(classNames, taskSet, 6),
      size.toFixed(2),
      formatCount(macs),
      formatCount(parameters),
      formatDuration(1000 * expected.seconds),
      formatBytes(expected.memoryBytes),
      formatRatio(expected.ratio),
    ];
  });
  const heading = ["device", "profile", "classes", "width", "MACs", "parameters", "time", "memory", "saved"];
  const align = (["left", "left", "left"] as const).concat(Array(6).fill("right"));
  // A class of no device is meant to have none; what is said of owners is said of the others.
  const owners = plan.codewords.map((codeword) => codeword.length).filter((count) => count > 0);
  const [fewest, most] = [Math.min(...owners), Math.max(...owners)];
  const each = fewest === most ? `${fewest}` : `${fewest} to ${most}`;
  const apart =
    plan.leastDistance > 0
      ? `any two classes differ in at least ${plan.leastDistance} of ${plan.devices.length} devices, ${erasures(plan.correctedErasures)}.`
      : "some classes have the same owners, and only their own logits tell them apart.";
  const lines = [table([heading, ...rows], { align }), "", `Every class has ${each} ${most === 1 ? "owner" : "owners"}; ${apart}`];
  for (const { reason } of plan.excluded) lines.push(`Left out: ${reason}`);
  for (const { id, classes } of plan.unmetPreferences) lines.push(`Not met: "${id}" would also like ${some(classNames, classes, 5)}.`);
  return lines.join("\n");
}
