/** The door `sheaf/util`: tensors, errors, random streams and weights files. */
export { type ErrorCode, exitCodes, SheafError } from "./util/errors.ts";
export { type Random, random, shuffle } from "./util/random.ts";
export { decodeSafetensors, encodeSafetensors } from "./util/safetensors.ts";
export { type DType, floats, integers, type Shape, sizeOf, type Tensor, tensor, zeros } from "./util/tensor.ts";
