/** What the heads that a configuration asks for make of its devices' work: which are made, what is summed for them, and which samples are held out. */
import { type HeadType, headTypes } from "../harvest/heads.ts";
import type { SumsWork } from "../plan/cost.ts";
import type { RunConfig } from "./config.ts";

/** Heads that every run makes: their sums are needed anyway, or none are. */
const usualHeads: readonly HeadType[] = ["H0", "H1", "H2"];

/** What a device sees; see `PreparedDevice`. */
interface Parts {
  readonly own: Uint32Array;
  readonly background: Uint32Array;
  readonly made: Uint32Array;
}

export interface HeadPlan {
  /** Heads to make, in their usual order. */
  readonly types: readonly HeadType[];
  /** Whether products of features and log-probabilities are summed. */
  readonly scores: boolean;
  /** Size of the random expansion; 0 for none. */
  readonly expanded: number;
  /** Share of its samples that a device trains on. */
  readonly trainedShare: number;
  /** What a device trains on, `isHeldOut` being 1 at held-out samples. A device all of whose own samples are held out keeps one. */
  readonly trainedOf: (parts: Parts, isHeldOut: Uint8Array) => Parts;
}

/** What a configuration's heads need. */
export function headPlan({ head, heads }: Pick<RunConfig, "head" | "heads">): HeadPlan {
  const { extra, expansion, heldOutShare, heldOutFrom } = heads;
  const types = headTypes.filter((type) => type === head || usualHeads.includes(type) || extra.includes(type));
  const apart = heldOutFrom === "training" && heldOutShare > 0;
  const rest = (samples: Uint32Array, isHeldOut: Uint8Array): Uint32Array => samples.filter((i) => isHeldOut[i] !== 1);
  return {
    types,
    scores: types.includes("H3"),
    expanded: types.includes("H4") ? expansion : 0,
    trainedShare: apart ? 1 - heldOutShare : 1,
    trainedOf(parts, isHeldOut) {
      if (!apart) return parts;
      const { own, background, made } = parts;
      const kept = rest(own, isHeldOut);
      return {
        own: kept.length > 0 ? kept : own.slice(0, 1),
        background: rest(background, isHeldOut),
        made: rest(made, isHeldOut),
      };
    },
  };
}

/** What a device's statistics pass sums beyond the usual; undefined when nothing. */
export function sumsWorkOf(config: Pick<RunConfig, "head" | "heads">): SumsWork | undefined {
  const { scores, expanded } = headPlan(config);
  const uploads = config.heads.heldOutShare > 0 ? 2 : 1;
  return scores || expanded > 0 || uploads > 1 ? { scores, expanded, uploads } : undefined;
}
