/** Shapes of sub-models: how a budget of multiply-adds is spread over the layers. Pure; measures nothing. */
import { narrow, type WidthFactors, widthGroups } from "../network/narrow.ts";
import type { Network } from "../network/network.ts";
import { networkCost, placeLayers } from "../network/shapes.ts";
import { SheafError } from "../util/errors.ts";
import { type ShapeProfile, shapeRecipe } from "./shapeRecipes.ts";

/** What sub-models look like: the network's own recipe, all layers narrowed alike, or a profile of one's own. */
export type ShapeChoice = "recipe" | "uniform" | ShapeProfile;

/** Layers that share a width. */
interface Group {
  readonly name: string;
  readonly members: readonly string[];
  /** Channels in the target. */
  readonly channels: number;
  /** Channels that the profile asks for, up to a common factor. */
  readonly relative: number;
}

/** A layer's relative channels by a profile that is an exponent or names it; undefined where it does not. */
function relativeOf(profile: ShapeProfile, members: readonly string[], channels: number): number | undefined {
  if (typeof profile === "number") return channels ** profile;
  const name = members.find((member) => Object.hasOwn(profile, member));
  return name === undefined ? undefined : profile[name];
}

function groupsOf(target: Network, profile: ShapeProfile): readonly Group[] {
  const groups = widthGroups(target);
  if (typeof profile === "number") {
    if (!(profile >= 0 && profile <= 2)) throw new SheafError("config", `A shape's exponent must lie between 0 and 2, got ${profile}.`);
  } else {
    const known = [...groups.values()].flat();
    const wrong = Object.entries(profile).find(([name, value]) => !known.includes(name) || !(value > 0 && Number.isFinite(value)));
    if (wrong) {
      throw new SheafError(
        "config",
        `A shape gives positive channels to layers of "${target.name}" (${known.join(", ")}), got ${wrong[0]}: ${wrong[1]}.`,
      );
    }
  }
  const widths = new Map(placeLayers(target).map(({ layer, output }) => [layer.name, output.channels]));
  const found = [...groups].map(([name, members]) => {
    const channels = widths.get(members[0] ?? name) ?? 1;
    return { name, members, channels, named: relativeOf(profile, members, channels) };
  });
  // Layers that a record does not name are narrowed as those that it names are on the whole.
  const named = found.flatMap(({ named: relative, channels }) => (relative === undefined ? [] : [Math.log(relative / channels)]));
  const common = named.length > 0 ? Math.exp(named.reduce((sum, value) => sum + value, 0) / named.length) : 1;
  return found.map(({ name, members, channels, named: relative }) => ({
    name,
    members,
    channels,
    relative: relative ?? common * channels,
  }));
}

/** Halvings of an interval of scales: enough to tell any two widths of a thousand channels apart. */
const halvings = 24;

/**
 * Width factors by layer for a profile: every free layer has floor(s * relative) channels, at least 1 and at most `widest` times the target's, with the
 * largest s whose network costs at most `macs` multiply-adds. Where even one channel in every layer costs more, that is the answer.
 * Throws `config` on a profile that does not fit the target.
 */
export function solveShape(target: Network, profile: ShapeProfile, macs: number, widest: number = 1): Readonly<Record<string, number>> {
  const groups = groupsOf(target, profile);
  const at = (scale: number): Record<string, number> =>
    Object.fromEntries(
      groups.map(({ name, channels, relative }) => {
        const most = Math.max(1, Math.round(widest * channels));
        return [name, Math.min(most, Math.max(1, Math.floor(scale * relative + 1e-9))) / channels];
      }),
    );
  const costs = (scale: number): number => networkCost(narrow(target, at(scale))).macs;
  let low = 0;
  let high = Math.max(0, ...groups.map(({ channels, relative }) => (widest * channels + 1) / relative));
  if (costs(high) <= macs) return at(high);
  for (let i = 0; i < halvings; i++) {
    const middle = (low + high) / 2;
    if (costs(middle) <= macs) low = middle;
    else high = middle;
  }
  return at(low);
}

/**
 * Widths by size: a sub-model of size r costs no more multiply-adds than the target with all layers narrowed to r, whatever its shape.
 * "uniform", and a recipe that is an exponent of 1, give r itself. Solved once for every size.
 * Throws `config` on a profile that does not fit the target.
 */
export function shaper(target: Network, choice: ShapeChoice): (size: number) => WidthFactors {
  const profile = choice === "uniform" ? 1 : choice === "recipe" ? shapeRecipe(target.name) : choice;
  groupsOf(target, profile);
  if (profile === 1) return (size) => size;
  const known = new Map<number, WidthFactors>();
  return (size) => {
    const widths = known.get(size) ?? solveShape(target, profile, networkCost(narrow(target, size)).macs, Math.max(1, size));
    known.set(size, widths);
    return widths;
  };
}
