/**
 * FedAvg: McMahan, Moore, Ramage, Hampson, Agüera y Arcas, "Communication-Efficient Learning of Deep Networks from Decentralized Data", AISTATS 2017.
 * Every client trains the full target on its samples; the server averages, each client weighted by its number of samples.
 */
import { initialParameters } from "../compile/initialize.ts";
import { narrow } from "../network/narrow.ts";
import type { BaselineMethod, Federation } from "./federation.ts";
import { bySamples, calibrateSlices, type SliceRule, sliceRound } from "./sliceRound.ts";
import { firstChannels } from "./slices.ts";

/** The rule of FedAvg: everybody trains the same network. */
export function fedAvgRule({ target, options }: Federation): SliceRule {
  const width = options.width ?? 1;
  return {
    server: narrow(target, width),
    widths: () => width,
    choose: firstChannels,
    maskAbsentClasses: options.maskAbsentClasses ?? false,
    weight: bySamples,
    kind: width === 1 ? "wide" : "narrow",
  };
}

/** What methods that average slices have in common, given their rule for a round. */
export function averaging(
  ruleOf: (federation: Federation, round: number) => SliceRule,
): Pick<BaselineMethod, "oneShot" | "combine" | "clients" | "start" | "round" | "calibrate" | "members"> {
  return {
    oneShot: false,
    combine: "probabilities",
    clients: ({ clients }) => clients,
    start: (federation) => initialParameters(ruleOf(federation, 0).server, federation.seed),
    round: (context) => sliceRound(context, ruleOf(context.federation, context.round)),
    calibrate: (context) => calibrateSlices(context, ruleOf(context.federation, context.round)),
    members: (federation, state) => [{ network: ruleOf(federation, 0).server, parameters: state }],
  };
}

/** Federated averaging of the full target. */
export const fedAvg: BaselineMethod = {
  title: "FedAvg",
  paper: "McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS 2017",
  ...averaging(fedAvgRule),
};
