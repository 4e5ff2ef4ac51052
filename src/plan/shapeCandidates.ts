/** Which shapes a search tries: names, what they stand for, and the narrow networks that they come to within a budget. Pure; trains nothing. */
import { narrow } from "../network/narrow.ts";
import type { Network } from "../network/network.ts";
import { networkCost, placeLayers } from "../network/shapes.ts";
import { SheafError } from "../util/errors.ts";
import { formatRatio } from "../util/format.ts";
import { solveShape } from "./shape.ts";
import { type ShapeProfile, shapeRecipe } from "./shapeRecipes.ts";

/** Tried where nothing else is asked for: all layers alike, the network's recipe, and exponents between equal widths and uniform ones. */
export const defaultCandidates: readonly string[] = ["uniform", "recipe", "0.9", "0.8", "0.7", "0.6", "0.5", "0.4", "0.3"];

/** A shape of a target within a budget. */
export interface ShapeCandidate {
  /** What it was asked for as; several where they come to the same widths. */
  readonly names: readonly string[];
  readonly profile: ShapeProfile;
  /** Width factors by layer. */
  readonly widths: Readonly<Record<string, number>>;
  /** Channels by layer, of those whose width is their own and the output's. */
  readonly channels: Readonly<Record<string, number>>;
  readonly network: Network;
  /** MACs of one sample's forward pass. */
  readonly macs: number;
  readonly parameters: number;
  /** How many times less than the target's its MACs are. */
  readonly ratio: number;
}

/** What a candidate's name stands for: "uniform", "recipe", or an exponent from 0 to 2. Throws `usage` on any other. */
export function candidateProfile(name: string, target: Network): ShapeProfile {
  if (name === "uniform") return 1;
  if (name === "recipe") return shapeRecipe(target.name);
  const exponent = Number(name);
  if (name.trim() !== "" && exponent >= 0 && exponent <= 2) return exponent;
  throw new SheafError("usage", `A shape is "uniform", "recipe" or an exponent from 0 to 2, got "${name}".`);
}

/** Channels of the layers that have a width of their own. */
function channelsOf(network: Network): Readonly<Record<string, number>> {
  return Object.fromEntries(
    placeLayers(network).flatMap(({ layer, output }) =>
      layer.type === "conv2d" || layer.type === "linear" ? [[layer.name, output.channels]] : [],
    ),
  );
}

/**
 * The target in each of these shapes, with as many multiply-adds as fit into a `ratio`th of its own. Shapes that come to the same widths are one candidate.
 * Throws `usage` on a name of no shape, `config` on a ratio below 1, or where even the narrowest network costs more.
 * @example shapeCandidates(target, [["uniform", 1], ["flat", 0]], 11.8)
 */
export function shapeCandidates(
  target: Network,
  shapes: readonly (readonly [name: string, profile: ShapeProfile])[],
  ratio: number,
): readonly ShapeCandidate[] {
  if (!(ratio >= 1 && Number.isFinite(ratio)))
    throw new SheafError("config", `The ratio of computation must be at least 1, got ${ratio}; 11.8 is the promise.`);
  const targetMacs = networkCost(target).macs;
  const found = new Map<string, ShapeCandidate>();
  for (const [name, profile] of shapes) {
    const widths = solveShape(target, profile, targetMacs / ratio);
    const network = narrow(target, widths);
    const { macs, parameters } = networkCost(network);
    if (macs > targetMacs / ratio) {
      throw new SheafError(
        "config",
        `No shape of "${target.name}" computes ${formatRatio(ratio)} less: with one channel in every layer it is ${formatRatio(targetMacs / macs)}; ask for a lower ratio.`,
      );
    }
    const channels = channelsOf(network);
    const key = JSON.stringify(channels);
    const same = found.get(key);
    const names = [...new Set([...(same?.names ?? []), name])];
    found.set(key, same ? { ...same, names } : { names, profile, widths, channels, network, macs, parameters, ratio: targetMacs / macs });
  }
  return [...found.values()];
}
