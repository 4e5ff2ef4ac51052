/** Disjoint groups of classes with several owners: teams of devices, each of which owns a group whole. As a code, a repetition code. */

/**
 * Team of each device, numbered from 0: the fastest `owners` devices make the first team, the next the second, since a team takes as many classes as its slowest
 * device can; those left over at the end join the last.
 * @example teamsOf([1, 9, 8, 2, 1], 2) // [1, 0, 0, 1, 1]
 */
export function teamsOf(speeds: readonly number[], owners: number): readonly number[] {
  const last = Math.max(0, Math.floor(speeds.length / owners) - 1);
  const teams = speeds.map(() => 0);
  const order = [...speeds.keys()].sort((a, b) => speeds[b]! - speeds[a]! || a - b);
  for (const [place, device] of order.entries()) teams[device] = Math.min(last, Math.floor(place / owners));
  return teams;
}

/** Places of the devices of each team. */
export function membersOf(teams: readonly number[]): readonly (readonly number[])[] {
  const count = teams.reduce((most, team) => Math.max(most, team + 1), 0);
  const members = Array.from({ length: count }, (): number[] => []);
  for (const [device, team] of teams.entries()) members[team]!.push(device);
  return members;
}
