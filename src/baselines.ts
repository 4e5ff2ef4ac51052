/** The door `sheaf/baselines`: published methods to compare with, their round engine, and their parts. */
export { type Averaged, averageSlices, type Contribution } from "./baselines/average.ts";
export { compileEnsemble } from "./baselines/ensemble.ts";
export type {
  BaselineMethod,
  BaselineOptions,
  Client,
  Federation,
  LocalWork,
  Member,
  RoundContext,
  ServerState,
} from "./baselines/federation.ts";
export type { ClientAccount, LedgerState } from "./baselines/ledger.ts";
export {
  type Progress,
  participants,
  type RoundRecord,
  type RoundsOptions,
  roundsOf,
  runRounds,
  type Trained,
} from "./baselines/rounds.ts";
export { type ChannelChoice, cutSlice, firstChannels, rollingChannels, type Slice, sliceOf, widestOf } from "./baselines/slices.ts";
export { type BaselineName, baselineNames, baselines } from "./baselines/table.ts";
