/** Public door of `decouple/`: a target network cut into sub-models. */
export { decouple, localLabel, type Part, type SubModel } from "./decouple/subModel.ts";
