/** Public door of `decouple/`: a target network cut into sub-models, which may start from its trained weights. */
export { type FilterChoice, filterChooser, type WarmStart } from "./decouple/chooseFilters.ts";
export { type ActivationOptions, type ClassActivation, measureActivation } from "./decouple/classActivation.ts";
export { inheritParameters } from "./decouple/inherit.ts";
export { decouple, localLabel, type Part, type SubModel } from "./decouple/subModel.ts";
export { warmStarts } from "./decouple/warmStart.ts";
