/** A `Session` over ONNX Runtime's JavaScript API, which is the same in Node and browsers but for how results reach given tensors. */
import type { InferenceSession, Tensor as OrtTensor, TensorConstructor } from "onnxruntime-common";
import { SheafError } from "../util/errors.ts";
import { type DType, type DTypeData, sameShape, type Tensor } from "../util/tensor.ts";
import type { Feeds, Session } from "./session.ts";

/** Where the two packages differ. */
export interface OrtPlatform {
  /** The package's own class; it recognizes no other. */
  readonly Tensor: TensorConstructor;
  /** Whether a run writes into the memory of given output tensors; where not, results are copied into them. */
  readonly writesInPlace: boolean;
}

const describe = (error: unknown): string => (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, " ").trim();
const isOutOfMemory = (text: string): boolean =>
  /bad_?alloc|bad allocation|failed to allocate|out of memory|Array buffer allocation/i.test(text);

/** The error for a model that ONNX Runtime does not open. */
export function openError(error: unknown, name: string): SheafError {
  const text = describe(error);
  if (isOutOfMemory(text)) return new SheafError("unavailable", `There is not enough memory to open ${name}: ${text}`, { cause: error });
  return new SheafError("corrupt", `ONNX Runtime cannot open ${name}: ${text}`, { cause: error });
}

function runError(error: unknown, name: string): SheafError {
  const text = describe(error);
  if (isOutOfMemory(text)) {
    return new SheafError("unavailable", `There is not enough memory to run ${name}: ${text}; use a smaller batch or width.`, {
      cause: error,
    });
  }
  return new SheafError("internal", `ONNX Runtime failed to run ${name}: ${text}`, { cause: error });
}

function fromOrt(value: OrtTensor): Tensor {
  return { dtype: value.type as DType, shape: value.dims, data: value.data as DTypeData[DType] };
}

function copyInto(target: Tensor, source: OrtTensor, name: string): void {
  if (source.type !== target.dtype || !sameShape(source.dims, target.shape)) {
    throw new SheafError(
      "internal",
      `Output "${name}" is ${source.type} [${source.dims.join(", ")}], but the given tensor is ${target.dtype} [${target.shape.join(", ")}].`,
    );
  }
  (target.data as Float32Array).set(source.data as Float32Array);
}

/** Wraps an opened session of ONNX Runtime. `name` is for error messages. */
export function ortSession(inner: InferenceSession, { Tensor: Wrap, writesInPlace }: OrtPlatform, name: string): Session {
  // Training feeds the same few tensors in every step: each is wrapped once.
  const wrappers = new WeakMap<Tensor, OrtTensor>();
  const wrap = (value: Tensor): OrtTensor => {
    let wrapper = wrappers.get(value);
    if (!wrapper) {
      wrapper = new Wrap(value.dtype as "float32", value.data as Float32Array, value.shape);
      wrappers.set(value, wrapper);
    }
    return wrapper;
  };
  const inputsOf = (feeds: Feeds): Record<string, OrtTensor> => {
    const result: Record<string, OrtTensor> = {};
    for (const input of inner.inputNames) {
      const value = feeds instanceof Map ? feeds.get(input) : (feeds as Readonly<Record<string, Tensor>>)[input];
      if (!value) throw new SheafError("internal", `Input "${input}" of ${name} is missing.`);
      result[input] = wrap(value);
    }
    return result;
  };

  let closing: Promise<void> | undefined;
  let last: Promise<unknown> = Promise.resolve();

  const runNow = async (feeds: Feeds, into: Readonly<Record<string, Tensor>> | undefined): Promise<Record<string, Tensor>> => {
    const inputs = inputsOf(feeds);
    for (const output of Object.keys(into ?? {})) {
      if (!inner.outputNames.includes(output)) throw new SheafError("internal", `${name} has no output "${output}".`);
    }
    const fetches = Object.entries(into ?? {}).map(([key, value]) => [key, writesInPlace ? wrap(value) : null] as const);
    let results: InferenceSession.OnnxValueMapType;
    try {
      results = await (into ? inner.run(inputs, Object.fromEntries(fetches)) : inner.run(inputs));
    } catch (error) {
      throw runError(error, name);
    }
    if (!into) return Object.fromEntries(inner.outputNames.map((key) => [key, fromOrt(results[key] as OrtTensor)]));
    if (!writesInPlace) for (const [key, value] of Object.entries(into)) copyInto(value, results[key] as OrtTensor, key);
    return { ...into };
  };

  const dispose = (): Promise<void> => {
    closing ??= last.then(() => inner.release());
    return closing;
  };
  return {
    inputNames: inner.inputNames,
    outputNames: inner.outputNames,
    run(feeds, into) {
      if (closing) return Promise.reject(new SheafError("internal", `The session of ${name} is disposed of; open it again to run it.`));
      const result = last.then(() => runNow(feeds, into));
      last = result.catch(() => undefined);
      return result;
    },
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}
