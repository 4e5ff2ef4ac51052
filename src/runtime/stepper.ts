/** Runs a training program step after step. Keeps its tensors in place: after the first step nothing is allocated, copied or collected. */
import type { Port, TrainingProgram } from "../compile/training.ts";
import { SheafError } from "../util/errors.ts";
import { type DTypeData, type FloatDType, floats, sameShape, type Tensor, tensor, zeros } from "../util/tensor.ts";
import type { Session } from "./session.ts";

type Floats = DTypeData[FloatDType];

export interface StepResult {
  /** Mean loss of the batch before the update. */
  readonly loss: number;
  /** [classes, batch]; overwritten by the next step. */
  readonly logits: Floats;
}

/** A training program with its parameters and states. Its owner disposes of the session. */
export interface Stepper {
  /**
   * One step on a batch: `image` [channels, height, width, batch] raw values, `target` [classes, batch] class probabilities, in arrays of
   * the program's dtype; for a program with a joint loss also `frozen` [classes, batch], the other branches' scores. They are not kept.
   * Throws `internal` for a wrong size, or when `frozen` is missing or not asked for.
   */
  step(image: Floats, target: Floats, learningRate: number, frozen?: Floats): Promise<StepResult>;
  /** Every parameter and state as it stands, by input name, not copied: to be read before the next step. */
  values(): ReadonlyMap<string, Tensor>;
  /** A copy of every parameter and state, by input name. */
  state(): Map<string, Tensor>;
  /** Replaces every parameter and state by a copy of the given ones. Throws `corrupt` when one is missing or has another shape or dtype. */
  load(state: ReadonlyMap<string, Tensor>): void;
}

const isKept = (port: Port): boolean => port.role === "parameter" || port.role === "state";

/** The port's value in `state`, checked. */
function checkedValue(port: Port, state: ReadonlyMap<string, Tensor>): Tensor {
  const value = state.get(port.name);
  const expected = `${port.dtype} [${port.shape.join(", ")}]`;
  if (!value)
    throw new SheafError("corrupt", `The training state lacks "${port.name}" (${expected}); it belongs to another network or optimizer.`);
  if (value.dtype !== port.dtype || !sameShape(value.shape, port.shape)) {
    const got = `${value.dtype} [${value.shape.join(", ")}]`;
    throw new SheafError(
      "corrupt",
      `"${port.name}" of the training state should be ${expected}, got ${got}; it belongs to another network or optimizer.`,
    );
  }
  return value;
}

/**
 * Opens a stepper over a session of `program.graph`, starting from (a copy of) `initial`. Each output that replaces an input is written
 * into a second buffer, and the two change places after each step.
 * @example const stepper = openStepper(program, session, initialState(program, seed));
 */
export function openStepper(program: TrainingProgram, session: Session, initial: ReadonlyMap<string, Tensor>): Stepper {
  const feeds: Record<string, Tensor> = {};
  const into: Record<string, Tensor> = {};
  const ofRole = (role: Port["role"], ports: readonly Port[]): Port => ports.find((port) => port.role === role) as Port;
  const imagePort = ofRole("image", program.inputs);
  const targetPort = ofRole("target", program.inputs);
  const lossName = ofRole("loss", program.outputs).name;
  const logitsName = ofRole("logits", program.outputs).name;
  const frozenPort = program.inputs.find((port) => port.role === "frozen");
  const ratePort = ofRole("learningRate", program.inputs);
  const rate = floats(program.dtype, [], [0]);
  for (const port of program.inputs) feeds[port.name] = zeros(port.dtype, port.shape);
  for (const port of program.outputs) into[port.name] = zeros(port.dtype, port.shape);
  feeds[ratePort.name] = rate;
  // Neither replaces an input, so both stay where they are.
  const [lossValue, logitsValue] = [into[lossName]?.data as Floats, into[logitsName]?.data as Floats];
  const swaps = program.outputs.flatMap(({ name, replaces }) => (replaces === undefined ? [] : [{ name, replaces }]));

  /** Wraps an array once as long as the caller fills the same one. */
  const feed = (port: Port, values: Floats): void => {
    if (feeds[port.name]?.data !== values) feeds[port.name] = tensor(program.dtype, port.shape, values as Float32Array);
  };
  const load = (state: ReadonlyMap<string, Tensor>): void => {
    const ports = program.inputs.filter(isKept);
    const values = ports.map((port) => checkedValue(port, state));
    ports.forEach(({ name }, i) => {
      const [target, source] = [feeds[name] as Tensor, values[i] as Tensor];
      (target.data as Float32Array).set(source.data as Float32Array);
    });
  };
  load(initial);
  return {
    async step(image, target, learningRate, frozen) {
      if ((frozen === undefined) !== (frozenPort === undefined)) {
        const [takes, got] = frozenPort ? ["takes the other branches' scores", "none"] : ["takes no scores of other branches", "some"];
        throw new SheafError("internal", `The training step of "${program.network.name}" ${takes}, got ${got}.`);
      }
      if (frozenPort && frozen) feed(frozenPort, frozen);
      feed(imagePort, image);
      feed(targetPort, target);
      rate.data[0] = learningRate;
      await session.run(feeds, into);
      for (const { name, replaces } of swaps) {
        const next = into[name] as Tensor;
        into[name] = feeds[replaces] as Tensor;
        feeds[replaces] = next;
      }
      return { loss: lossValue[0] as number, logits: logitsValue };
    },
    values: () => new Map(program.inputs.filter(isKept).map(({ name }) => [name, feeds[name] as Tensor])),
    state() {
      return new Map(
        program.inputs.filter(isKept).map(({ name }) => {
          const value = feeds[name] as Tensor;
          return [name, { ...value, data: value.data.slice() } as Tensor];
        }),
      );
    },
    load,
  };
}
