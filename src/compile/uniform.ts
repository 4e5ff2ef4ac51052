/** Random numbers inside a graph, from a counter that is a state of the program: the same state gives the same numbers on every runtime. */
import type { GraphBuilder } from "../onnx/builder.ts";
import type { Value } from "../onnx/graph.ts";
import { type FloatDType, integers, type Shape, sizeOf } from "../util/tensor.ts";

export interface UniformNumbers {
  uniform(shape: Shape): Value;
  finish(setState: (name: string, next: Value) => void): void;
}

/** The Mersenne prime 2^31 - 1: products of two residues fit into int64. */
const modulus = 2 ** 31 - 1;
const counterName = "random.counter";

/**
 * Uniform numbers in [0, 1) by hashing (element, counter, call) with four rounds of x -> (x + a)(x + b) mod 2^31 - 1.
 * ONNX's own random operators would restart with each session and differ between runtimes.
 */
export function uniformNumbers(b: GraphBuilder, dtype: FloatDType, declare: (name: string) => Value): UniformNumbers {
  let counter: Value | undefined;
  let calls = 0;
  const int = (value: number): Value => b.constant(integers([1], [value]), "ints");
  return {
    uniform(shape) {
      counter ??= declare(counterName);
      calls++;
      const size = sizeOf(shape);
      const places = b.constant(
        integers(
          [size],
          Array.from({ length: size }, (_, i) => i + 1),
        ),
        "places",
      );
      const keys = [48271 * calls + 11, 69621 * calls + 977, 16807 * calls + 3571, 39373 * calls + 104729];
      const step = b.op("Mod", [b.mul(b.add(counter, int(calls)), int(1_103_515_245 % modulus)), int(modulus)]);
      let hash = b.add(b.mul(places, int(7919)), step);
      for (const key of keys) {
        const left = b.op("Mod", [b.add(hash, int(key)), int(modulus)]);
        const right = b.op("Mod", [b.add(hash, b.add(step, int(key * 31))), int(modulus)]);
        hash = b.op("Mod", [b.mul(left, right), int(modulus)]);
      }
      return b.reshape(b.mul(b.cast(hash, dtype), b.float(dtype, 1 / modulus)), shape);
    },
    finish(setState) {
      if (counter) setState(counterName, b.add(counter, int(1)));
    },
  };
}
