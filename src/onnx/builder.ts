/** Writes a graph node by node with unique names and inferred shapes. */
import { SheafError } from "../util/errors.ts";
import { type DType, type FloatDType, floats, integers, type Shape, sameShape, type Tensor, tensor } from "../util/tensor.ts";
import type { Attribute, Graph, Node, Value } from "./graph.ts";
import { type OpType, onnxDType, opRules } from "./ops.ts";

type Attributes = Readonly<Record<string, Attribute>>;

export class GraphBuilder {
  readonly #nodes: Node[] = [];
  readonly #values = new Map<string, Value>();
  readonly #initializers = new Map<string, Tensor>();
  readonly #inputs: Value[] = [];
  readonly #outputs: Value[] = [];
  readonly #shared = new Map<string, Value>();
  /** Old names of values that became outputs, with the names they have now. */
  readonly #renamed = new Map<string, string>();
  readonly #kept: ReadonlySet<string>;
  #scope = "";

  /** `keptNames` are given to no inner value, so that outputs can have them whatever the layers are called. */
  constructor(keptNames: readonly string[] = []) {
    this.#kept = new Set(keptNames);
  }

  /** Runs `body` with names prefixed by `name/`. */
  scope<T>(name: string, body: () => T): T {
    const outer = this.#scope;
    this.#scope = `${outer}${name}/`;
    try {
      return body();
    } finally {
      this.#scope = outer;
    }
  }

  #define(hint: string, dtype: DType, shape: Shape): Value {
    let name = hint;
    for (let i = 2; this.#values.has(name) || this.#renamed.has(name) || this.#kept.has(name); i++) name = `${hint}_${i}`;
    const value: Value = { name, dtype, shape };
    this.#values.set(name, value);
    return value;
  }

  /** What a value is called now. */
  #nameOf(value: Value): string {
    return this.#renamed.get(value.name) ?? value.name;
  }

  /** Declares a graph input; its name is taken as given. Throws `internal` on a name in use. */
  input(name: string, dtype: DType, shape: Shape): Value {
    if (this.#values.has(name)) throw new SheafError("internal", `Graph input "${name}" exists already.`);
    const value = this.#define(name, dtype, shape);
    this.#inputs.push(value);
    return value;
  }

  /** Makes `value` a graph output called `name`. */
  output(name: string, value: Value): Value {
    if (this.#values.has(name)) throw new SheafError("internal", `Graph output "${name}" collides with another value.`);
    const out: Value = { name, dtype: value.dtype, shape: value.shape };
    this.#values.set(name, out);
    // A node's output becomes the graph's by taking its name, in every node that reads it too; a copy is needed only of a graph input
    // and of what is an output already.
    const source = this.#nameOf(value);
    const producer = this.#nodes.findIndex((n) => n.outputs.includes(source));
    const node = this.#nodes[producer];
    if (node && !this.#outputs.some((o) => o.name === source)) {
      const renamed = (names: readonly string[]): readonly string[] => names.map((n) => (n === source ? name : n));
      this.#nodes.forEach((n, i) => {
        if (i === producer || n.inputs.includes(source)) this.#nodes[i] = { ...n, inputs: renamed(n.inputs), outputs: renamed(n.outputs) };
      });
      this.#values.delete(source);
      this.#renamed.set(source, name);
    } else {
      this.#nodes.push({ op: "Identity", name: `output/${name}`, inputs: [source], outputs: [name], attributes: {} });
    }
    this.#outputs.push(out);
    return out;
  }

  /** An initializer. Constants of up to 64 elements are shared when equal. */
  constant(value: Tensor, hint = "constant"): Value {
    const small = value.data.length <= 64;
    const { buffer, byteOffset, byteLength } = value.data;
    // Keyed by bytes: as numbers, -0 and 0 would look the same.
    const key = small ? `${value.dtype}[${value.shape.join()}]${new Uint8Array(buffer, byteOffset, byteLength).join()}` : "";
    const known = small ? this.#shared.get(key) : undefined;
    if (known) return known;
    const result = this.#define(small ? `${value.dtype}_${hint}` : `${this.#scope}${hint}`, value.dtype, value.shape);
    this.#initializers.set(result.name, value);
    if (small) this.#shared.set(key, result);
    return result;
  }

  /** An initializer under its own name, which the scope prefixes; never shared, so that a model's weights can be found by name. */
  parameter(name: string, value: Tensor): Value {
    const result = this.#define(`${this.#scope}${name}`, value.dtype, value.shape);
    this.#initializers.set(result.name, value);
    return result;
  }

  /** A scalar or small float constant. */
  float(dtype: FloatDType, value: number | readonly number[], shape?: Shape): Value {
    const values = typeof value === "number" ? [value] : value;
    return this.constant(floats(dtype, shape ?? (typeof value === "number" ? [] : [values.length]), values), "float");
  }

  /** A one-dimensional int64 constant. */
  ints(values: readonly number[]): Value {
    return this.constant(integers([values.length], values), "ints");
  }

  /** An index table for `Gather`. */
  indices(values: Int32Array, shape: Shape, hint: string): Value {
    return this.constant(tensor("int32", shape, values), hint);
  }

  /** A node with one output. */
  op(type: OpType, inputs: readonly Value[], attributes: Attributes = {}, hint: string = type): Value {
    const [value] = this.multi(type, inputs, attributes, 1, hint);
    return value as Value;
  }

  /** A node with several outputs. */
  multi(type: OpType, inputs: readonly Value[], attributes: Attributes, outputCount: number, hint: string = type): readonly Value[] {
    const rule = opRules[type];
    const name = `${this.#scope}${hint}`;
    const [least, most] = rule.arity;
    if (inputs.length < least || inputs.length > most) {
      throw new SheafError("internal", `${type} "${name}" takes ${least} to ${most} inputs, got ${inputs.length}.`);
    }
    const inferred = rule.infer({
      op: type,
      name,
      inputs,
      attributes,
      outputCount,
      constant: (i) => this.#initializers.get(inputs[i]?.name ?? ""),
    });
    const outputs = inferred.map((o) => this.#define(name, o.dtype, o.shape));
    this.#nodes.push({
      op: type,
      name: outputs[0]?.name ?? name,
      inputs: inputs.map((v) => this.#nameOf(v)),
      outputs: outputs.map((v) => v.name),
      attributes,
    });
    return outputs;
  }

  // Shorthand for what every lowering writes.
  add(a: Value, b: Value, hint?: string): Value {
    return this.op("Add", [a, b], {}, hint);
  }
  sub(a: Value, b: Value, hint?: string): Value {
    return this.op("Sub", [a, b], {}, hint);
  }
  mul(a: Value, b: Value, hint?: string): Value {
    return this.op("Mul", [a, b], {}, hint);
  }
  div(a: Value, b: Value, hint?: string): Value {
    return this.op("Div", [a, b], {}, hint);
  }
  matMul(a: Value, b: Value, hint?: string): Value {
    return this.op("MatMul", [a, b], {}, hint);
  }
  cast(a: Value, dtype: DType): Value {
    return a.dtype === dtype ? a : this.op("Cast", [a], { to: onnxDType[dtype] });
  }
  reshape(a: Value, shape: Shape, hint?: string): Value {
    return sameShape(a.shape, shape) ? a : this.op("Reshape", [a, this.ints(shape)], {}, hint);
  }
  transpose(a: Value, perm: readonly number[], hint?: string): Value {
    return this.op("Transpose", [a], { perm }, hint);
  }
  concat(values: readonly Value[], axis: number, hint?: string): Value {
    return this.op("Concat", values, { axis }, hint);
  }
  gather(a: Value, indices: Value, axis: number, hint?: string): Value {
    return this.op("Gather", [a, indices], { axis }, hint);
  }
  reduceSum(a: Value, axes: readonly number[], keepdims = true, hint?: string): Value {
    return this.op("ReduceSum", [a, this.ints(axes)], { keepdims: keepdims ? 1 : 0 }, hint);
  }
  reduceMean(a: Value, axes: readonly number[], keepdims = true, hint?: string): Value {
    return this.op("ReduceMean", [a, this.ints(axes)], { keepdims: keepdims ? 1 : 0 }, hint);
  }

  /** The finished graph. */
  build(name: string, metadata: Readonly<Record<string, string>> = {}, doc = ""): Graph {
    const used = new Set(this.#nodes.flatMap((n) => n.inputs));
    const initializers = new Map([...this.#initializers].filter(([key]) => used.has(key)));
    return {
      name,
      inputs: [...this.#inputs],
      outputs: [...this.#outputs],
      nodes: [...this.#nodes],
      initializers,
      values: new Map([...this.#values].filter(([key]) => initializers.has(key) || !this.#initializers.has(key))),
      metadata,
      doc,
    };
  }
}
