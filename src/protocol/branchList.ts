/** All branches of a run at one time as one object, which specifications name by its hash: an offer is as long in a large fleet as in a small one. */
import { z } from "zod";
import type { Network } from "../network/network.ts";
import { SheafError } from "../util/errors.ts";
import { canonicalJson } from "../util/json.ts";
import { networkSchema } from "./networkSchema.ts";
import { type Branch, taskSet } from "./tasks.ts";
import { atLeastZero, count, id, maximumClasses, objectBytes, sha256 } from "./values.ts";

/** Role of the list among a task's inputs. */
export const branchesRole = "branches";

/** As it is stored: most branches share their network with others, so that each stands there once. */
interface BranchList {
  readonly networks: readonly Network[];
  /** `network` is a place in `networks`. */
  readonly branches: readonly (Omit<Branch, "network"> & { readonly network: number })[];
}

const branchListSchema: z.ZodType<BranchList> = z
  .strictObject({
    networks: z.array(networkSchema).max(1_000_000),
    branches: z
      .array(
        z.strictObject({
          device: id,
          taskSet,
          network: count,
          parameters: sha256,
          parameterBytes: objectBytes,
          ownSamples: count,
          backgroundSamples: count,
          madeSamples: count.exactOptional(),
          logitAdjustment: atLeastZero.exactOptional(),
          classCounts: z.array(count).max(maximumClasses),
        }),
      )
      .min(1)
      .max(1_000_000),
  })
  .refine(
    ({ networks, branches }) => branches.every(({ network }) => network < networks.length),
    "must have the networks that branches name",
  );

/** The object of some branches: canonical JSON, the same bytes for the same branches. */
export function encodeBranches(branches: readonly Branch[]): Uint8Array<ArrayBuffer> {
  const networks: Network[] = [];
  const placeOf = new Map<string, number>();
  const textOf = new Map<Network, string>();
  const listed = branches.map(({ network, ...branch }) => {
    const text = textOf.get(network) ?? canonicalJson(network);
    textOf.set(network, text);
    const place = placeOf.get(text) ?? networks.push(network) - 1;
    placeOf.set(text, place);
    return { ...branch, network: place };
  });
  return new TextEncoder().encode(canonicalJson({ networks, branches: listed } satisfies BranchList));
}

/** The branches of an object; `what` names it. Throws `corrupt` when it is no list of branches. */
export function decodeBranches(bytes: Uint8Array, what: string): readonly Branch[] {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new SheafError("corrupt", `${what} is no JSON; fetch it again.`, { cause });
  }
  const parsed = branchListSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new SheafError("corrupt", `${what} is no list of branches at ${issue?.path.join(".") || "its top"}: ${issue?.message}.`);
  }
  const { networks, branches } = parsed.data;
  return branches.map(({ network, ...branch }) => ({ ...branch, network: networks[network] as Network }));
}
